// What the page remembers between visits; it also works where storage is refused (private windows).

export function remembered(name) {
  try {
    return localStorage.getItem(`kuzushiji-tf.${name}`);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`kuzushiji-tf.${name}`, value);
  } catch {
    // The choice holds until the page is closed.
  }
}
