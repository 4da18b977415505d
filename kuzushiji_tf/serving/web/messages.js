// Every sentence of the page, in Japanese and English.

const MESSAGES = {
  ja: {
    title: "手書き文字認識",
    otherLanguage: "English",
    dark: "暗い画面にする",
    light: "明るい画面にする",
    settings: "設定",
    model: "モデル",
    modelOption: ({title, kind, classes}) => `${title}（${kind}${classes}字）`,
    brush: "くずし字",
    mode: "書く単位",
    character: "一文字",
    word: "言葉",
    filter: "文字の種類",
    all: "すべて",
    hiragana: "ひらがな",
    katakana: "カタカナ",
    kanji: "漢字",
    other: "その他",
    loading: "読み込み",
    loadingBytes: ({loaded, total}) => `読み込み中 ${loaded} / ${total} MB`,
    preparing: "準備しています",
    ready: "どうぞ書いてください",
    offline: "端末の中だけで認識します・オフライン可",
    line: "入力した文字",
    linePlaceholder: "選んだ文字",
    backspace: "最後の文字を消す",
    copy: "文字列をコピーする",
    copied: "コピーしました",
    candidates: "候補",
    candidate: ({character, percent}) => `${character}、${percent}パーセント`,
    spoken: ({list}) => `候補：${list}`,
    unknown: "文字ではないようです。近いもの：",
    writing: "書くところ",
    pad: "書く場所",
    padHelp: "指やペンで書いてください。「言葉」では、8文字まで横か縦に並べて書けます。小さい仮名や句読点は、左下か右上に小さく書きます。キーボードでは、矢印キーでペンを動かし、スペースキーで下ろしたり上げたりします。",
    hint: "ここに一文字書いてください",
    hintWord: "ここに言葉を書いてください（8文字まで）",
    undo: "一画戻す",
    clear: "消す",
    guide: "筆順",
    guideEmpty: "書くと、ここに書き方が出ます。",
    guideMissing: ({character}) => `「${character}」の筆順データはありません。`,
    guideAbout: ({character, codePoint, count}) => `${character}　${count}画　${codePoint}`,
    orderFine: "筆順は合っています。",
    missing: ({number}) => `${number}画目がありません。`,
    extra: () => "余分な画があります。",
    reversed: ({number}) => `${number}画目の向きが逆です。`,
    order: ({number}) => `${number}画目の順番が違います。`,
    replay: "筆順をもう一度見る",
    private: "書いた文字は端末の外に出ません。",
    keys: "キー：1〜9 候補、Ctrl+Z 一画戻す、Esc 消す",
    credit: ({data, credit, licence}) => `学習データ：${data}（${credit}、${licence}）`,
    noModels: "モデルが見つかりません。サーバーの models フォルダーを確かめてください。",
    modelFailed: ({name}) => `モデル「${name}」を読み込めません。接続を確かめて、もう一度選んでください。`,
    runtimeFailed: "認識の部品を読み込めません。接続を確かめて、開き直してください。",
    recognitionFailed: "認識に失敗しました。消してから、もう一度書いてください。",
    copyFailed: "コピーできませんでした。文字列を選んでコピーしてください。",
  },
  en: {
    title: "Handwriting",
    otherLanguage: "日本語",
    dark: "Switch to dark",
    light: "Switch to light",
    settings: "Settings",
    model: "Model",
    modelOption: ({title, kind, classes}) => `${title} (${kind ? `${kind}, ` : ""}${classes})`,
    brush: "cursive",
    mode: "Write",
    character: "Character",
    word: "Word",
    filter: "Script",
    all: "All",
    hiragana: "Hiragana",
    katakana: "Katakana",
    kanji: "Kanji",
    other: "Other",
    loading: "Loading",
    loadingBytes: ({loaded, total}) => `Loading ${loaded} of ${total} MB`,
    preparing: "Getting ready",
    ready: "Ready",
    offline: "Runs on this device, works offline",
    line: "Your text",
    linePlaceholder: "Chosen characters",
    backspace: "Delete the last character",
    copy: "Copy the text",
    copied: "Copied",
    candidates: "Candidates",
    candidate: ({character, percent}) => `${character}, ${percent} percent`,
    spoken: ({list}) => `Candidates: ${list}`,
    unknown: "This does not look like a character. Nearest:",
    writing: "Writing",
    pad: "Writing area",
    padHelp: "Write with finger, pen or mouse: one character or, where Word is chosen, up to eight in a row or a column; small kana and marks small, in the lower left or the upper right. With the keyboard, arrow keys move the pen and space puts it down or lifts it.",
    hint: "Write one character here",
    hintWord: "Write a word here, up to eight characters",
    undo: "Undo",
    clear: "Clear",
    guide: "Stroke order",
    guideEmpty: "Write a character, and its stroke order appears here.",
    guideMissing: ({character}) => `There is no stroke order for ${character}.`,
    guideAbout: ({character, codePoint, count}) => `${character} · ${count} ${count === 1 ? "stroke" : "strokes"} · ${codePoint}`,
    orderFine: "Written in order.",
    missing: ({number}) => `Stroke ${number} is missing.`,
    extra: () => "One stroke is not part of it.",
    reversed: ({number}) => `Stroke ${number} goes the other way.`,
    order: ({number}) => `Stroke ${number} comes at another time.`,
    replay: "Play the stroke order again",
    private: "What you write stays on this device.",
    keys: "Keys: 1–9 choose, Ctrl+Z undo, Esc clear.",
    credit: ({data, credit, licence}) => `Trained on ${data} (${credit}, ${licence}).`,
    noModels: "No model was found; check the server's models folder.",
    modelFailed: ({name}) => `The model ${name} cannot be loaded; check the connection and choose it again.`,
    runtimeFailed: "The recognizer cannot be loaded; check the connection and open the page again.",
    recognitionFailed: "Recognition failed; clear and write again.",
    copyFailed: "Copying failed; select the text and copy it yourself.",
  },
};

let language = "ja";

/** Sets the language, `ja` or `en`, and fills every element that names a message. */
export function speak(chosen) {
  language = chosen in MESSAGES ? chosen : "en";
  document.documentElement.lang = language;
  document.title = say("title");
  const fill = {text: "textContent", label: "ariaLabel", placeholder: "placeholder"};
  for (const [attribute, property] of Object.entries(fill)) {
    for (const element of document.querySelectorAll(`[data-${attribute}]`)) {
      element[property] = say(element.dataset[attribute]);
    }
  }
}

/** Returns a message in the current language; `values` fill its gaps. */
export function say(name, values = {}) {
  const message = MESSAGES[language][name];
  return typeof message === "function" ? message(values) : message;
}

export function currentLanguage() {
  return language;
}
