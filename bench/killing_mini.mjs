// Our mini program SDK in Node, as killing_clients.py is for the Python ones:
// killing_mini.mjs SDK_BUNDLE URL KEY TOLD. Ends when its input does.
import { appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [bundle, url, key, told] = process.argv.slice(2);
const storage = new Map();
globalThis.Page = () => {};
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
  getLaunchOptionsSync: () => ({ path: 'pages/index', scene: 1001, query: {} }),
  onAppShow: () => {},
  onAppHide: () => {},
};

const { init } = createRequire(import.meta.url)(bundle);
// As with the others, no retry waits for longer than the end does.
const tracker = init({ url, key, consent: true, retryBaseMs: 200, retryCapMs: 2000 });
let n = 0;
const timer = setInterval(() => {
  const { accepted, duplicates } = tracker.stats;
  if (n - accepted - duplicates > 300) return; // its queue is bounded: a full one drops the oldest
  tracker.track('killed', { n, sdk: 'mini' });
  appendFileSync(told, `+${n}\n`);
  n += 1;
}, 20);
process.stdin.resume();
process.stdin.once('data', async () => {
  clearInterval(timer);
  const until = Date.now() + 120_000;
  let gone = false;
  while (!gone && Date.now() < until) {
    gone = await tracker.flush();
    if (!gone) await new Promise((done) => setTimeout(done, 200));
  }
  tracker.close();
  if (!gone) console.error('mini:', JSON.stringify(tracker.stats));
  process.exit(gone ? 0 : 1);
});
