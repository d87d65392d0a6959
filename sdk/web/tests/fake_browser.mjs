// As much of a browser as the SDK touches: a page with elements, a history, storage, XMLHttpRequest.
import { Collector } from '../../js-core/testing.mjs';

class Target {
  listeners = [];
  addEventListener(type, work) {
    this.listeners.push({ type, work });
  }
  removeEventListener(type, work) {
    this.listeners = this.listeners.filter((one) => one.type !== type || one.work !== work);
  }
  fire(type, event = {}) {
    for (const one of [...this.listeners]) if (one.type === type) one.work(event);
  }
}

/** An element: `new Element('button', { id: 'x' }, ['text', child])`. */
export class Element {
  nodeType = 1;
  parentElement = null;
  nextSibling = null;
  isContentEditable = false;
  constructor(tag, attributes = {}, children = []) {
    this.tagName = tag.toUpperCase();
    this.attributes = attributes;
    this.id = attributes.id || '';
    this.href = attributes.href;
    this.value = attributes.value;
    this.isContentEditable = 'contenteditable' in attributes;
    const nodes = children.map((child) =>
      typeof child === 'string' ? { nodeType: 3, nodeValue: child } : child
    );
    nodes.forEach((node, k) => {
      node.parentElement = node.parentNode = this;
      node.nextSibling = nodes[k + 1] || null;
    });
    this.firstChild = nodes[0] || null;
  }
  getAttribute(name) {
    return name in this.attributes ? this.attributes[name] : null;
  }
  hasAttribute(name) {
    return name in this.attributes;
  }
  closest(selectors) {
    for (let at = this; at; at = at.parentElement) {
      if (selectors.split(',').some((selector) => at.matches(selector))) return at;
    }
    return null;
  }
  matches(selector) {
    const [, tag, name, value] = /^([a-z]*)(?:\[([a-z-]+)(?:=([a-z]+))?\])?$/.exec(selector);
    return (
      (!tag || this.tagName === tag.toUpperCase()) &&
      (!name || (name in this.attributes && (!value || this.attributes[name] === value)))
    );
  }
}

/** Sets the globals of a page at `url` and returns what a test looks at and turns. */
export function open(url, { storage = new Map(), forbidden = [], cookies = {}, referrer = '' } = {}) {
  const collector = new Collector();
  const page = { collector, storage, cookies, beacons: [], fetched: [], requests: [], headers: {}, time: 0 };
  const location = { protocol: 'https:' };
  const go = (to) => {
    const next = new URL(to, page.url);
    page.url = location.href = next.href;
    location.pathname = next.pathname;
    location.search = next.search;
    location.hash = next.hash;
  };
  page.url = url;
  go(url);
  const window = new Target();
  const document = new Target();
  Object.assign(document, { title: 'Title', referrer, visibilityState: 'visible' });
  Object.defineProperty(document, 'cookie', {
    get: () => Object.entries(cookies).map(([name, value]) => name + '=' + value).join('; '),
    set(text) {
      const [, name, value] = /^([^=]*)=([^;]*)/.exec(text);
      page.lastCookie = text;
      if (text.includes('max-age=0')) delete cookies[name];
      else cookies[name] = value;
    },
  });
  Object.defineProperty(window, 'localStorage', {
    get() {
      if (forbidden.includes('localStorage')) throw new Error('SecurityError');
      return new Proxy(
        {
          getItem: (key) => (storage.has(key) ? storage.get(key) : null),
          setItem: (key, value) => void storage.set(key, value),
          removeItem: (key) => void storage.delete(key),
        },
        { ownKeys: () => [...storage.keys()], getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }) }
      );
    },
  });
  const history = {
    pushState: (state, title, to) => to && go(to),
    replaceState: (state, title, to) => to && go(to),
  };
  class XMLHttpRequest {
    headers = {};
    status = 0;
    responseText = '';
    open(method, address) {
      this.address = address;
    }
    setRequestHeader(name, value) {
      this.headers[name] = value;
    }
    getAllResponseHeaders() {
      return 'content-type: application/json\r\n' + (this.retryAfter ? 'retry-after: ' + this.retryAfter : '');
    }
    send(body) {
      page.requests.push(this);
      if (collector.silent) return;
      const reply = collector.receive(body);
      this.status = reply.status;
      this.responseText = reply.body;
      this.retryAfter = reply.retryAfter;
      queueMicrotask(() => (this.status ? this.onload && this.onload() : this.onerror && this.onerror()));
    }
    abort() {
      this.aborted = true;
    }
  }
  const navigator = { language: 'zh-CN' };
  if (!forbidden.includes('sendBeacon')) {
    navigator.sendBeacon = (address, body) => {
      if (page.beaconFull) return false;
      page.beacons.push({ address, body });
      collector.receive(body);
      return true;
    };
  }
  const globals = {
    window,
    document,
    location,
    history,
    XMLHttpRequest,
    navigator,
    screen: { width: 1280, height: 720 },
    fetch: (address, options) => {
      page.fetched.push({ address, ...options });
      collector.receive(options.body);
      return Promise.resolve();
    },
    Request: class {
      keepalive = false;
    },
  };
  if (forbidden.includes('keepalive')) globals.Request = class {};
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  page.go = (to) => {
    go(to);
    window.fire('popstate');
    window.fire('hashchange');
  };
  page.click = (node) => document.fire('click', { target: node, composedPath: () => [node] });
  page.show = (visible) => {
    document.visibilityState = visible ? 'visible' : 'hidden';
    document.fire('visibilitychange');
  };
  page.hide = () => window.fire('pagehide', { persisted: false });
  page.named = (name) => collector.events.filter((event) => event.event === name).map((event) => event.properties);
  return Object.assign(page, { window, document, history, location });
}
