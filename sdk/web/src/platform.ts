/** The browser, as the core wants it. Nothing here throws. */
import type { Platform, Reply, Store } from '../../js-core/src/types.js';

const TIMEOUT_MS = 30_000;

/** localStorage, or nothing at all where it is forbidden. */
export function localStore(): Store {
  const attempt = <T>(work: (storage: Storage) => T, otherwise: T): T => {
    try {
      return work(window.localStorage);
    } catch (_) {
      return otherwise; // forbidden, or full
    }
  };
  return {
    get: (key) => attempt((storage) => storage.getItem(key), null),
    set: (key, value) => attempt((storage) => (storage.setItem(key, value), true), false),
    remove: (key) => attempt((storage) => storage.removeItem(key), undefined),
    keys: () => attempt((storage) => Object.keys(storage), []),
  };
}

/**
 * The device id goes into a cookie as well, so that it is one for all hosts of `domain`; where
 * localStorage is forbidden, the cookie alone keeps it.
 */
export function withCookie(store: Store, name: string, domain: string | undefined): Store {
  const place =
    '; path=/; samesite=lax' +
    (domain ? '; domain=' + domain : '') +
    (location.protocol === 'https:' ? '; secure' : '');
  const cookie = encodeURIComponent(name);
  const write = (value: string, age: number): void => {
    try {
      document.cookie = cookie + '=' + value + '; max-age=' + age + place;
    } catch (_) {
      // a sandboxed frame
    }
  };
  const read = (): string | null => {
    try {
      const found = ('; ' + document.cookie).split('; ' + cookie + '=')[1];
      return found ? found.split(';')[0]! : null;
    } catch (_) {
      return null;
    }
  };
  return {
    get: (key) => (key === name ? read() || store.get(key) : store.get(key)),
    set: (key, value) => {
      if (key === name) write(value, 63_072_000);
      return store.set(key, value);
    },
    remove: (key) => {
      if (key === name) write('', 0);
      store.remove(key);
    },
    keys: () => store.keys(),
  };
}

function post(url: string, key: string, body: string, done: (reply: Reply) => void): () => void {
  const request = new XMLHttpRequest();
  const end = (): void => {
    // Asking for a header that another origin does not show prints an error on the console.
    const retryAfter = /^retry-after:(.*)$/im.exec(request.getAllResponseHeaders() || '');
    done({
      status: request.status,
      body: request.responseText || '',
      retryAfter: retryAfter && retryAfter[1]!.trim(),
    });
  };
  try {
    request.open('POST', url, true);
    request.timeout = TIMEOUT_MS;
    request.setRequestHeader('Authorization', 'Bearer ' + key);
    request.setRequestHeader('Content-Type', 'application/json');
    request.onload = request.onerror = request.ontimeout = end;
    request.send(body);
  } catch (_) {
    setTimeout(() => done({ status: 0, body: '', retryAfter: null }), 0);
  }
  return () => {
    request.onload = request.onerror = request.ontimeout = null;
    request.abort();
  };
}

/** Hand a body to the browser while the page goes away. Whether it took it. */
export function depart(url: string, key: string, body: string): boolean {
  // No headers can be set, and text/plain asks no other origin for leave first.
  const address = url + '?key=' + encodeURIComponent(key);
  try {
    if (navigator.sendBeacon && navigator.sendBeacon(address, body)) return true;
  } catch (_) {
    // some blockers throw
  }
  try {
    if (typeof fetch === 'function' && 'keepalive' in new Request('')) {
      fetch(address, { method: 'POST', body, keepalive: true, mode: 'no-cors' }).catch(() => {});
      return true;
    }
    const request = new XMLHttpRequest();
    request.open('POST', address, true);
    request.send(body);
    return true;
  } catch (_) {
    return false;
  }
}

function random(bytes: Uint8Array): void {
  try {
    crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
  } catch (_) {
    for (let i = 0; i < bytes.length; i++) bytes[i] = Math.random() * 256;
  }
}

export function browser(store: Store): Platform {
  return {
    store,
    post,
    random,
    now: () => Date.now(),
    after: (ms, work) => {
      const timer = setTimeout(work, Math.min(ms, 0x7fffffff));
      return () => clearTimeout(timer);
    },
    adoptAfterMs: 60_000,
    lib: 'web',
  };
}
