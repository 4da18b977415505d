// Which characters seldom follow which: what tells small kana from large ones, and ー from 一, in a word; docs/ink.md
// specifies it. Python's twin is `characters/sequences.py`.

// Losses of a logarithm of probability. What a change of script costs; any other costs nothing.
const CHANGES = {
  hiragana: {katakana: 2},
  katakana: {hiragana: 1, kanji: 1.5},
  kanji: {katakana: 1.5},
};
const MISPLACED = 3; // of a small kana that does not belong behind what stands before it, or is hardly used
const LARGE = 1; // of a large kana where a small one is usual
const LONG_VOWEL = "ー";
const AT_HOME = 1.5; // what it gains behind katakana

const SMALL = "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ";
const GLIDES = "ゃゅょャュョ";
const BEFORE_GLIDES = "きしちにひみりぎじびぴキシチニヒミリギジビピ";
const VOWELS = "ァィゥェォ";
const BEFORE_VOWELS = "フヴウテデトドシジチツキクグイ";
const SELDOM_BEFORE_LARGE = "フヴテデ";
const HARDLY_USED = "ぁぃぅぇぉゎヮヵ";

const has = (characters, character) => character !== "" && characters.includes(character);

/** Returns the script of a character: `hiragana`, `katakana`, `kanji` or `other`. */
function scriptOf(character) {
  if (character === "") return "none";
  if (/[\p{Script=Katakana}ー]/u.test(character)) return "katakana";
  if (/\p{Script=Hiragana}/u.test(character)) return "hiragana";
  return /\p{Script=Han}/u.test(character) ? "kanji" : "other";
}

/** Returns how much less likely a character is behind another, or (`""`) at the beginning of a word. */
export function lossBehind(first, second) {
  if (has(HARDLY_USED, second)) return MISPLACED;
  if (has(SMALL, second)) {
    const places = has(GLIDES, second) ? BEFORE_GLIDES : has(VOWELS, second) ? BEFORE_VOWELS : first;
    return has(places, first) ? 0 : MISPLACED;
  }
  const before = scriptOf(first);
  if (second === LONG_VOWEL) return {katakana: -AT_HOME, hiragana: 0}[before] ?? MISPLACED;
  const isUsuallySmall =
    (has(BEFORE_GLIDES, first) && "やゆよヤユヨ".includes(second)) ||
    (has(SELDOM_BEFORE_LARGE, first) && "アイウエオ".includes(second));
  return (CHANGES[before]?.[scriptOf(second)] ?? 0) + (isUsuallySmall ? LARGE : 0);
}
