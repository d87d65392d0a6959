// The mini program SDK over a stub of `wx`.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { afterEach, mock, test } from 'node:test';
import { Collector } from '../../js-core/testing.mjs';

let opened = [];
afterEach(() => {
  for (const zuji of opened) zuji.close();
  opened = [];
  mock.timers.reset();
});

/** `wx`, `Page` and `Component`, and what a test looks at. */
function stub({ storage = new Map(), launch = {} } = {}) {
  const collector = new Collector();
  const listeners = {};
  const on = (name) => (work) => (listeners[name] = [...(listeners[name] || []), work]);
  const off = (name) => (work) =>
    (listeners[name] = (listeners[name] || []).filter((one) => one !== work));
  const world = { collector, storage, requests: [], aborted: 0, touched: 0, full: false };
  world.fire = (name, event) => (listeners[name] || []).forEach((work) => work(event));
  world.listening = () => Object.values(listeners).flat().length;
  world.named = (name) => collector.events.filter((e) => e.event === name).map((e) => e.properties);
  world.wx = {
    request(options) {
      world.requests.push(options);
      if (collector.silent) return { abort: () => world.aborted++ };
      const reply = collector.receive(options.data);
      queueMicrotask(() =>
        reply.status
          ? options.success({
              statusCode: reply.status,
              data: reply.body,
              header: reply.retryAfter ? { 'Retry-After': reply.retryAfter } : {},
            })
          : options.fail({ errMsg: 'request:fail' })
      );
      return { abort: () => world.aborted++ };
    },
    getStorageSync: (key) => (world.touched++, storage.has(key) ? storage.get(key) : ''),
    setStorageSync(key, value) {
      world.touched++;
      if (world.full) throw new Error('exceed storage max size');
      storage.set(key, value);
    },
    removeStorageSync: (key) => (world.touched++, void storage.delete(key)),
    getStorageInfoSync: () => (world.touched++, { keys: [...storage.keys()] }),
    getLaunchOptionsSync: () => launch,
    onAppShow: on('show'),
    offAppShow: off('show'),
    onAppHide: on('hide'),
    offAppHide: off('hide'),
    onNetworkStatusChange: on('network'),
    offNetworkStatusChange: off('network'),
  };
  globalThis.wx = world.wx;
  globalThis.Page = (options) => (world.page = options);
  globalThis.Component = (options) => (world.component = options);
  return world;
}

const require = createRequire(import.meta.url);
const { init, version } = require('../dist/index.cjs');

function start(options = {}) {
  const zuji = init({ url: 'https://c', key: 'wk_12345678', consent: true, ...options });
  opened.push(zuji);
  return zuji;
}

test('the life of the program', async () => {
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1e12 });
  const launch = { path: 'pages/index', scene: 1001, query: { id: 'secret', utm_source: 'wx' } };
  const world = stub({ launch });
  const zuji = start();
  world.fire('show', launch);
  Page({ onLoad() {} });
  world.page.onShow.call({ route: 'pages/index' });
  mock.timers.tick(3000);
  world.fire('hide');
  assert.equal(await zuji.flush(), true);
  assert.deepEqual(
    world.collector.events.map((event) => event.event),
    ['mp_launch', 'mp_show', 'mp_view', 'mp_hide']
  );
  const { $session_id, ...first } = world.named('mp_launch')[0];
  assert.ok($session_id);
  assert.deepEqual(first, {
    $lib: 'miniprogram',
    $lib_version: version,
    $path: 'pages/index',
    $scene: '1001',
    $utm_source: 'wx',
  });
  const [hidden] = world.named('mp_hide');
  assert.equal(hidden.duration_ms, 3000);
  assert.equal(hidden.$path, 'pages/index');
  const [request] = world.requests;
  assert.equal(request.url, 'https://c/v1/events');
  assert.equal(request.header.Authorization, 'Bearer wk_12345678');
  assert.equal(typeof request.data, 'string');
});

test('views know where people came from; the page still does its own', async () => {
  const world = stub();
  const zuji = start({ app: false });
  const shown = [];
  Page({
    onShow(...args) {
      shown.push([this.route, ...args]);
      return 7;
    },
  });
  assert.equal(world.page.onShow.call({ route: 'pages/a' }, 'x'), 7);
  Component({ methods: { onLoad() {} } });
  world.component.methods.onShow.call({ route: 'pages/b' });
  await zuji.flush();
  assert.deepEqual(shown, [['pages/a', 'x']]);
  assert.deepEqual(
    world.named('mp_view').map((view) => [view.$path, view.$referrer]),
    [['pages/a', undefined], ['pages/b', 'pages/a']]
  );
});

test('shares, and no share menu where there was none', async () => {
  const world = stub();
  const zuji = start({ app: false, views: false });
  Page({ onShow() {} });
  assert.ok(!('onShareAppMessage' in world.page) && !('onShareTimeline' in world.page));
  Page({ onShareAppMessage: (event) => ({ title: event.from }), onShareTimeline: () => ({ title: 't' }) });
  const page = { route: 'pages/a' };
  assert.deepEqual(world.page.onShareAppMessage.call(page, { from: 'button' }), { title: 'button' });
  assert.deepEqual(world.page.onShareTimeline.call(page), { title: 't' });
  Component({ properties: {} }); // no page
  assert.deepEqual(world.component, { properties: {} });
  await zuji.flush();
  assert.deepEqual(
    world.named('mp_share').map((share) => [share.$path, share.$share_channel, share.$share_from]),
    [['pages/a', 'message', 'button'], ['pages/a', 'timeline', 'menu']]
  );
});

test('before consent nothing is stored or sent', async () => {
  const world = stub();
  const zuji = start({ consent: undefined });
  world.fire('show', {});
  Page({});
  world.page.onShow.call({ route: 'pages/a' });
  world.fire('network', { isConnected: true });
  world.fire('hide');
  await zuji.flush();
  assert.equal(world.touched, 0);
  assert.equal(world.requests.length, 0);
  zuji.setConsent(true);
  zuji.track('e');
  assert.equal(await zuji.flush(), true);
  assert.equal(world.collector.events.length, 1);
});

test('withdrawal leaves nothing', () => {
  const world = stub();
  world.storage.set('mine', 'x');
  const zuji = start();
  world.collector.silent = true;
  zuji.track('e');
  void zuji.flush();
  zuji.setConsent(false);
  assert.equal(world.aborted, 1);
  assert.deepEqual([...world.storage.keys()], ['mine']);
});

test('what was not sent goes out with the next run', async () => {
  const world = stub();
  world.collector.silent = true;
  const first = start({ batchEvents: 2, app: false });
  for (let n = 0; n < 5; n++) first.track('e', { n }); // and it is ended
  const next = stub({ storage: world.storage });
  const second = start({ app: false });
  assert.equal(second.deviceId(), first.deviceId());
  assert.equal(await second.flush(), true);
  assert.deepEqual(next.collector.numbers, [0, 1, 2, 3, 4]);
  assert.ok(![...world.storage.keys()].some((key) => key.includes(':q:')));
});

test('a failed request is repeated, at once when the network is back', async () => {
  const world = stub();
  world.collector.script = [{ status: 0 }, { status: 503, retryAfter: '60' }];
  const zuji = start({ app: false, retryBaseMs: 1e9, retryCapMs: 1e9 });
  zuji.track('e', { n: 1 });
  assert.equal(await zuji.flush(), false);
  world.fire('network', { isConnected: false });
  assert.equal(world.requests.length, 1);
  world.fire('network', { isConnected: true });
  assert.equal(await zuji.flush(), false);
  world.fire('network', { isConnected: true });
  assert.equal(await zuji.flush(), true);
  assert.deepEqual(world.collector.numbers, [1]);
  assert.equal(zuji.stats.retries, 2);
});

test('full storage: memory does', async () => {
  const world = stub();
  world.full = true;
  const zuji = start({ app: false });
  zuji.track('e', { n: 1 });
  assert.equal(await zuji.flush(), true);
  assert.deepEqual(world.collector.numbers, [1]);
});

test('a wx that throws, or lacks what is newer', async () => {
  const world = stub();
  const { request, getStorageSync, setStorageSync, removeStorageSync, getStorageInfoSync } = world.wx;
  let broken = true;
  const zuji = start({
    retryBaseMs: 1,
    wx: {
      getStorageSync,
      setStorageSync,
      removeStorageSync,
      getStorageInfoSync,
      request(options) {
        if (broken) throw new Error('url not in domain list');
        return request(options);
      },
    },
  });
  assert.equal(await zuji.flush(), false);
  broken = false;
  while (!(await zuji.flush())) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(world.named('mp_launch').length, 1);
});

test('closing puts everything back', () => {
  const world = stub();
  const before = [globalThis.Page, globalThis.Component];
  const zuji = start();
  assert.notEqual(globalThis.Page, before[0]);
  Page({});
  zuji.close();
  assert.deepEqual([globalThis.Page, globalThis.Component], before);
  assert.equal(world.listening(), 0);
  world.page.onShow.call({ route: 'pages/a' });
  assert.equal(world.collector.events.length, 0);
});
