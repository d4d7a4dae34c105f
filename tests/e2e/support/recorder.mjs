// What the page heard from its engine and told its visitor, noted from inside the page.

/** Runs before the page's own scripts; leaves `window.seen`. */
export function record() {
  const seen = { events: [], notices: [], breaches: [], startedAt: null };
  window.seen = seen;
  window.Worker = class extends Worker {
    constructor(url, options) {
      super(url, options);
      this.addEventListener('message', ({ data }) => {
        const at = performance.now();
        if (data.ready) seen.startedAt ??= at;
        if (data.message) seen.events.push({ ...JSON.parse(data.message), carried: data.bytes?.byteLength ?? 0, at });
      });
    }
  };
  new MutationObserver(() => {
    const text = document.querySelector('[role=alert] p')?.textContent;
    if (text && seen.notices.at(-1) !== text) seen.notices.push(text);
  }).observe(document, { subtree: true, childList: true, characterData: true });
  document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
    seen.breaches.push(`${violatedDirective} ${blockedURI}`);
  });
}
