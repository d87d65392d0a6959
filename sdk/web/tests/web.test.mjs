// What the browser adds: page views, clicks, stay, routes, beacons, cookies.
import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import { init, version } from '../dist/zuji.mjs';
import { Element, open } from './fake_browser.mjs';

let opened = [];
afterEach(() => {
  for (const zuji of opened) zuji.close();
  opened = [];
  mock.timers.reset();
});

function start(options = {}) {
  const zuji = init({ url: 'https://c', key: 'wk_12345678', consent: true, ...options });
  opened.push(zuji);
  return zuji;
}

test('a page view', async () => {
  const page = open('https://shop.example/loans?id=secret&utm_source=wx&utm_term=a+b#top', {
    referrer: 'https://search.example/?q=private',
  });
  const zuji = start();
  assert.equal(await zuji.flush(), true);
  const [view] = page.named('page_view');
  const { $session_id, ...rest } = view;
  assert.ok($session_id);
  assert.deepEqual(rest, {
    $lib: 'web',
    $lib_version: version,
    $url: 'https://shop.example/loans',
    $path: '/loans',
    $title: 'Title',
    $referrer: 'https://search.example/',
    $screen_width: 1280,
    $screen_height: 720,
    $language: 'zh-CN',
    $utm_source: 'wx',
    $utm_term: 'a b',
  });
  const [request] = page.requests;
  assert.equal(request.address, 'https://c/v1/events');
  assert.equal(request.headers.Authorization, 'Bearer wk_12345678');
  assert.equal(request.timeout, 30_000);
});

test('before consent nothing is stored or sent, not even a cookie', async () => {
  const page = open('https://a/');
  const zuji = start({ consent: undefined });
  page.click(new Element('button', {}, ['x']));
  page.go('/b');
  page.window.fire('online');
  page.show(false);
  page.hide();
  await zuji.flush();
  assert.equal(page.storage.size, 0);
  assert.deepEqual(page.cookies, {});
  assert.deepEqual([page.requests, page.beacons], [[], []]);
  assert.equal(page.lastCookie, undefined);
});

test('withdrawal clears cookie, ids and queue, also in other tabs', async () => {
  const page = open('https://a/');
  const zuji = start();
  const tab = start();
  assert.equal(tab.deviceId(), zuji.deviceId());
  page.collector.silent = true;
  zuji.track('e');
  void zuji.flush();
  zuji.setConsent(false);
  assert.ok(page.requests[0].aborted);
  assert.equal(page.storage.size, 0);
  assert.deepEqual(page.cookies, {});
  page.window.fire('storage', { key: 'zuji::device', newValue: null });
  assert.equal(tab.getConsent(), false);
  page.hide();
  assert.deepEqual(page.beacons, []);
});

test('routes of single pages: a view and a stay each', async () => {
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1e12 });
  const page = open('https://a/one', { referrer: 'https://b/' });
  const zuji = start();
  mock.timers.tick(1000);
  page.history.pushState(null, '', '/two?x=1');
  page.history.replaceState(null, '', '/two?x=2'); // the same page
  page.history.pushState(null, ''); // no address at all
  mock.timers.tick(500);
  page.show(false);
  mock.timers.tick(60_000);
  page.show(true);
  mock.timers.tick(500);
  page.go('/one');
  await zuji.flush();
  assert.deepEqual(
    page.named('page_view').map((view) => [view.$path, view.$referrer]),
    [['/one', 'https://b/'], ['/two', 'https://a/one'], ['/one', 'https://a/two']]
  );
  assert.deepEqual(
    page.named('page_stay').map((stay) => [stay.$url, stay.duration_ms]),
    [['https://a/one', 1000], ['https://a/two', 1000]]
  );
});

test('hash routes, when asked for', async () => {
  const page = open('https://a/app#/one');
  const plain = start({ clicks: false });
  page.go('#/two');
  await plain.flush();
  assert.equal(page.named('page_view').length, 1);
  plain.close();
  const hashed = start({ hashRoutes: true });
  page.go('#/three?secret=1');
  await hashed.flush();
  assert.deepEqual(
    page.named('page_view').slice(1).map((view) => view.$url),
    ['https://a/app#/two', 'https://a/app#/three']
  );
});

test('clicks: what, where, and what it says', async () => {
  const page = open('https://a/shop');
  const zuji = start();
  const icon = new Element('span', {}, [' Apply\n now ']);
  const button = new Element('button', { id: 'go', class: 'big red', 'data-zuji-click': 'apply' }, [icon]);
  new Element('main', {}, [new Element('div', {}, [button])]);
  page.click(icon);
  page.click(icon.firstChild); // a text node
  page.click(new Element('a', { href: 'https://b/path?token=secret' }, ['Away']));
  page.click(new Element('a', { href: 'mailto:someone@example.com' }, ['Write']));
  page.click(new Element('div', {}, ['nothing']));
  await zuji.flush();
  const clicks = page.named('click');
  assert.equal(clicks.length, 4);
  assert.deepEqual(
    Object.fromEntries(Object.entries(clicks[0]).filter(([name]) => name.startsWith('$element'))),
    {
      $element_type: 'button',
      $element_id: 'go',
      $element_class: 'big red',
      $element_name: 'apply',
      $element_path: 'button#go',
      $element_text: 'Apply now',
    }
  );
  assert.equal(clicks[2].$element_url, 'https://b/path');
  assert.equal(clicks[3].$element_url, undefined);
});

test('clicks never tell what was typed, chosen, or is to be ignored', async () => {
  const page = open('https://a/');
  const zuji = start();
  const secret = 'SECRET';
  page.click(new Element('input', { type: 'submit', value: secret }));
  page.click(new Element('input', { type: 'checkbox', value: secret }));
  page.click(new Element('input', { type: 'text', value: secret }));
  page.click(new Element('textarea', {}, [secret]));
  page.click(new Element('button', {}, [
    new Element('textarea', {}, [secret]),
    new Element('select', {}, [new Element('option', {}, [secret])]),
    new Element('div', { contenteditable: '' }, [secret]),
    new Element('b', { 'data-zuji-ignore': '' }, [secret]),
    'fine',
  ]));
  page.click(new Element('button', { 'data-zuji-ignore': '' }, [secret]));
  const inner = new Element('button', {}, [secret]);
  new Element('div', { 'data-zuji-ignore': '' }, [inner]);
  page.click(inner);
  page.click(new Element('button', { 'data-zuji-no-text': '' }, [secret]));
  await zuji.flush();
  const clicks = page.named('click');
  assert.equal(clicks.length, 4);
  assert.ok(!JSON.stringify(page.collector.requests).includes(secret));
  assert.equal(clicks[2].$element_text, 'fine');
});

test('what is turned off is off', async () => {
  const page = open('https://a/');
  const zuji = start({ pageViews: false, clicks: false, stay: false });
  page.click(new Element('button', {}, ['x']));
  page.go('/b');
  page.hide();
  zuji.pageView({ by: 'hand' });
  await zuji.flush();
  assert.deepEqual(page.collector.events.map((event) => event.event), ['page_view']);
  assert.equal(page.named('page_view')[0].by, 'hand');
});

test('addresses by a function of the page', async () => {
  const page = open('https://a/user/12345');
  const errors = [];
  const zuji = start({ address: (url) => new URL(url).pathname, onError: (error) => errors.push(error) });
  page.history.pushState(null, '', '/next');
  await zuji.flush();
  assert.deepEqual(
    page.named('page_view').map((view) => [view.$url, view.$referrer]),
    [['/user/12345', undefined], ['/next', '/user/12345']]
  );
  assert.deepEqual(errors, []);
  zuji.close();
  const broken = start({ address: () => { throw new Error('its own'); }, onError: (e) => errors.push(e) });
  assert.equal(await broken.flush(), true);
  assert.equal(errors[0].code, 'address');
});

test('the page goes away: beacons, kept until the next page is sure', async () => {
  const page = open('https://a/');
  const zuji = start();
  zuji.track('last', { n: 1 });
  page.hide();
  page.hide();
  assert.equal(page.beacons.length, 1);
  assert.equal(page.beacons[0].address, 'https://c/v1/events?key=wk_12345678');
  const names = page.collector.events.map((event) => event.event);
  assert.deepEqual(names, ['page_view', 'last', 'page_stay']);
  const next = open('https://a/next', { storage: page.storage, cookies: page.cookies });
  next.collector.batches = page.collector.batches;
  const after = start();
  assert.equal(await after.flush(), true);
  assert.equal(after.stats.duplicates, 3);
  assert.equal(next.named('page_view').length, 1);
  assert.ok(![...page.storage.keys()].some((key) => key.includes(':q:')));
});

test('without sendBeacon: fetch with keepalive, or XMLHttpRequest', () => {
  for (const forbidden of [['sendBeacon'], ['sendBeacon', 'keepalive']]) {
    const page = open('https://a/', { forbidden });
    const zuji = start();
    page.hide();
    assert.equal(page.fetched.length, 2 - forbidden.length);
    assert.equal(page.requests.length, forbidden.length - 1);
    assert.equal(page.named('page_view').length, 1);
    zuji.close();
  }
});

test('beacons stay below what browsers take', async () => {
  const page = open('https://a/');
  page.collector.silent = true;
  const zuji = start();
  for (let n = 0; n < 30; n++) zuji.track('e', { text: '济'.repeat(2700) });
  page.hide();
  const sizes = page.beacons.map((beacon) => Buffer.byteLength(beacon.body));
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 60_000);
  assert.equal([...page.storage.keys()].filter((key) => key.includes(':q:')).length, 2);
});

test('back out of the cache: another view, and the same queue', async () => {
  const page = open('https://a/');
  const zuji = start();
  page.hide();
  page.window.fire('pageshow', { persisted: true });
  await zuji.flush();
  assert.equal(page.named('page_view').length, 2);
  assert.equal(page.named('page_stay').length, 1);
  assert.equal(zuji.stats.duplicates, 2);
});

test('a hidden page sends what it has', async () => {
  const page = open('https://a/');
  start();
  page.show(false);
  assert.equal(page.requests.length, 1);
});

test('Retry-After is read', async () => {
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1e12 });
  const page = open('https://a/');
  page.collector.script = [{ status: 503, retryAfter: '7' }];
  const zuji = start({ retryBaseMs: 1 });
  assert.equal(await zuji.flush(), false);
  mock.timers.tick(6999);
  assert.equal(page.requests.length, 1);
  mock.timers.tick(2);
  assert.equal(page.requests.length, 2);
});

test('back online: no more waiting', async () => {
  const page = open('https://a/');
  page.collector.script = [{ status: 0 }];
  const zuji = start({ retryBaseMs: 1e9, retryCapMs: 1e9 });
  assert.equal(await zuji.flush(), false);
  page.window.fire('online');
  assert.equal(await zuji.flush(), true);
  assert.equal(page.named('page_view').length, 1);
});

test('no localStorage: a cookie keeps the device', async () => {
  const cookies = {};
  open('https://a/', { forbidden: ['localStorage'], cookies });
  const first = start({ cookieDomain: 'a.example' });
  assert.match(Object.values(cookies)[0], /^[0-9a-f-]{36}$/);
  const page = open('https://a/', { forbidden: ['localStorage'], cookies });
  const second = start();
  assert.equal(second.deviceId(), first.deviceId());
  assert.equal(await second.flush(), true);
  assert.equal(page.named('page_view').length, 1);
  second.setConsent(false);
  assert.deepEqual(cookies, {});
});

test('the cookie belongs to the domain, and to https', () => {
  const page = open('https://a/');
  start({ cookieDomain: 'example.com' });
  assert.match(page.lastCookie, /; domain=example\.com; secure$/);
});

test('two of them on one page have each their own', async () => {
  const page = open('https://a/');
  const one = start();
  const other = start({ name: 'other', key: 'wk_other' });
  assert.notEqual(one.deviceId(), other.deviceId());
  one.setConsent(false);
  assert.equal(await other.flush(), true);
  assert.equal(page.named('page_view').length, 1);
  assert.ok([...page.storage.keys()].every((key) => key.startsWith('zuji:other:')));
});

test('closing puts the page back as it was', () => {
  const page = open('https://a/');
  const before = { ...page.history };
  const zuji = start();
  assert.notEqual(page.history.pushState, before.pushState);
  zuji.close();
  assert.deepEqual({ ...page.history }, before);
  assert.equal(page.window.listeners.length + page.document.listeners.length, 0);
});

test('another library that patched history after us keeps working', () => {
  const page = open('https://a/');
  const zuji = start();
  const ours = page.history.pushState;
  let calls = 0;
  page.history.pushState = (...args) => (calls++, ours.apply(page.history, args));
  zuji.close();
  page.history.pushState(null, '', '/b');
  assert.equal(calls, 1);
  assert.equal(page.location.pathname, '/b');
});
