// Run a mini program's life over a stub of `wx` that speaks real HTTP: live.mjs URL KEY. Prints stats.
import { createRequire } from 'node:module';

const [url, key] = process.argv.slice(2);
const storage = new Map();
const listeners = {};
let pages = [];
globalThis.Page = (options) => pages.push(options);
globalThis.wx = {
  request({ url: address, method, data, header, success, fail }) {
    const control = new AbortController();
    fetch(address, { method, body: data, headers: header, signal: control.signal })
      .then(async (reply) =>
        success({
          statusCode: reply.status,
          data: await reply.text(),
          header: Object.fromEntries(reply.headers),
        })
      )
      .catch(() => fail());
    return { abort: () => control.abort() };
  },
  getStorageSync: (name) => storage.get(name) || '',
  setStorageSync: (name, value) => void storage.set(name, value),
  removeStorageSync: (name) => void storage.delete(name),
  getStorageInfoSync: () => ({ keys: [...storage.keys()] }),
  getLaunchOptionsSync: () => ({ path: 'pages/index', scene: 1001, query: { utm_source: 'wx' } }),
  onAppShow: (work) => (listeners.show = work),
  onAppHide: (work) => (listeners.hide = work),
};

const { init } = createRequire(import.meta.url)('../dist/index.cjs');
const tracker = init({ url, key, consent: true });
listeners.show({ path: 'pages/index', scene: 1001 });
Page({ onShareAppMessage: () => ({}) });
pages[0].onShow.call({ route: 'pages/index' });
pages[0].onShareAppMessage.call({ route: 'pages/index' }, { from: 'button' });
tracker.identify('wx-user');
for (let n = 0; n < 120; n++) tracker.track('mp_custom', { n, text: '济南 😀' });
tracker.profileSet({ level: 'gold' });
tracker.profileUnset(['age']);
listeners.hide();
const gone = await tracker.flush();
console.log(JSON.stringify({ gone, ...tracker.stats }));
tracker.close();
