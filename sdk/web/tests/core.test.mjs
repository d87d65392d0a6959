// The core that the browser and the mini program share.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Collector, memoryStore, platform } from '../../js-core/testing.mjs';
import { Tracker, cut, idOf, isName, propertiesText, retryAfterMs, uuid } from '../.test/core.mjs';

function start(settings = {}, options = {}) {
  const collector = settings.collector || new Collector();
  const device = platform(collector, settings);
  const errors = [];
  const make = (more = {}) =>
    new Tracker(
      device,
      { url: 'https://c/', key: 'wk_12345678', onError: (e) => errors.push(e), ...options, ...more },
      '1'
    );
  const tracker = make();
  if (options.consent !== null) tracker.setConsent(true);
  return { collector, device, errors, make, tracker };
}

const track = (tracker, from, to) => {
  for (let n = from; n < to; n++) tracker.track('e', { n });
};
const kept = (device) => [...device.store.map.keys()].filter((key) => key.includes(':q:'));

test('a request', () => {
  const { collector, device, tracker } = start();
  tracker.identify(7);
  tracker.track('pay', { amount: 5, part: 0.5, big: 1e21, ok: true, list: ['a'], no: null });
  tracker.profileSet({ city: '济南', gone: null });
  tracker.profileUnset(['age']);
  device.pass(5000);
  assert.deepEqual(device.last, { url: 'https://c/v1/events', key: 'wk_12345678' });
  const [{ body, batch }] = collector.requests;
  assert.equal(batch.sent_at, device.time);
  assert.match(batch.batch_id, /^[0-9a-f-]{36}$/);
  assert.match(body, /"amount":5\.0,"part":0\.5,"big":1e\+21,"ok":true,"list":\["a"\]/);
  const [event, set, unset] = batch.events;
  assert.equal(event.event, 'pay');
  assert.equal(event.time, device.time - 5000);
  assert.equal(event.user_id, '7');
  assert.equal(event.device_id, tracker.deviceId());
  assert.equal(event.properties.$lib, 'test');
  assert.equal(typeof event.properties.$session_id, 'string');
  assert.ok(!('no' in event.properties) && !('type' in event));
  assert.equal(set.type, 'profile_set');
  assert.deepEqual(set.properties, { city: '济南', gone: null });
  assert.deepEqual(unset.properties, { age: null });
  assert.equal(tracker.stats.accepted, 3);
  assert.equal(kept(device).length, 0);
});

test('what cannot be sent is left out or cut, and told', () => {
  const { collector, device, errors, tracker } = start();
  const many = Object.fromEntries([...Array(300).keys()].map((n) => ['p' + n, n]));
  tracker.track('e', {
    n: 1,
    long: '济'.repeat(3000),
    list: Array(600).fill('x'),
    nan: NaN,
    object: {},
    mixed: ['a', 1],
    $time: 1,
    '': 1,
    'a\nb': 1,
    when: new Date(0),
    never: new Date(NaN),
    skip: undefined,
  });
  tracker.track('many', many);
  tracker.track('');
  tracker.track('x'.repeat(101));
  tracker.track('later', {}, NaN);
  tracker.identify('');
  tracker.track('huge', Object.fromEntries([...Array(40).keys()].map((n) => ['p' + n, 'x'.repeat(8000)])));
  device.pass(5000);
  const [event, wide] = collector.events;
  const { long, list, mixed, when, ...rest } = event.properties;
  assert.equal(Buffer.byteLength(long), 8190);
  assert.equal(list.length, 500);
  assert.deepEqual(mixed, ['a']);
  assert.equal(when, '1970-01-01T00:00:00.000Z');
  assert.deepEqual(Object.keys(rest).sort(), ['$lib', '$lib_version', '$session_id', 'n']);
  assert.ok(Object.keys(wide.properties).length <= 256);
  assert.equal(collector.events.length, 2);
  assert.deepEqual(
    [...new Set(errors.map((error) => error.code))].sort(),
    ['bad_name', 'bad_time', 'bad_value', 'event_too_large', 'not_finite', 'too_many_properties']
  );
});

test('texts are cut at whole characters, and are always Unicode', () => {
  assert.equal(cut('济南', 5), '济');
  assert.equal(cut('a😀', 4), 'a');
  assert.equal(cut('a😀', 5), 'a😀');
  assert.equal(cut('\ud800a\udc00', 100), '\ufffda\ufffd');
  assert.equal(cut('x\ud800', 100), 'x\ufffd');
  assert.ok(isName('x'.repeat(100)) && !isName('x'.repeat(101)) && !isName('\ud800'));
  assert.equal(idOf('x'.repeat(256)), '');
  assert.equal(idOf(12), '12');
  assert.equal(propertiesText({ a: null }, true, () => {}), '{"a":null}');
  const ids = new Set([...Array(100)].map(() => uuid((bytes) => crypto.getRandomValues(bytes))));
  assert.equal(ids.size, 100);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('batches by count, by size, by age', () => {
  const { collector, device, tracker } = start({}, { batchEvents: 10 });
  track(tracker, 0, 25);
  assert.deepEqual(collector.requests.map((r) => r.batch.events.length), [10, 10]);
  device.pass(4999);
  assert.equal(collector.requests.length, 2);
  device.pass(1);
  assert.equal(collector.requests[2].batch.events.length, 5);
  for (let n = 0; n < 8; n++) tracker.track('e', { text: 'x'.repeat(8000) });
  device.pass(5000);
  assert.ok(collector.requests.slice(3).every((r) => r.body.length < 60_000));
});

test('a retry has the same id and events, and waits longer each time', () => {
  const { collector, device, errors, tracker } = start();
  collector.script = [{ status: 503 }, { status: 0 }, { status: 429 }, { status: 404 }, 'lost'];
  track(tracker, 0, 3);
  device.pass(5000);
  const waits = [];
  for (let k = 0; k < 5; k++) {
    const [timer] = device.timers;
    waits.push(timer.ms);
    device.pass(timer.ms);
  }
  assert.deepEqual(collector.numbers, [0, 1, 2]);
  assert.equal(new Set(collector.requests.map((r) => r.batch.batch_id)).size, 1);
  assert.equal(collector.requests.length, 6);
  waits.forEach((ms, k) => assert.ok(ms >= 0 && ms <= 1000 * 2 ** k));
  assert.equal(tracker.stats.duplicates, 3);
  assert.equal(tracker.stats.retries, 5);
  assert.ok(errors.every((error) => error.lost === 0));
});

test('Retry-After in seconds and as a date', () => {
  const { collector, device, tracker } = start();
  collector.script = [{ status: 503, retryAfter: '7' }];
  track(tracker, 0, 1);
  device.pass(5000);
  const [timer] = device.timers;
  assert.ok(timer.ms >= 7000 && timer.ms <= 8000);
  const now = Date.UTC(2026, 0, 1);
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 00:00:09 GMT', now), 9000);
  assert.equal(retryAfterMs('Thu, 01 Jan 2025 00:00:00 GMT', now), 0);
  assert.equal(retryAfterMs('soon', now), 0);
  assert.equal(retryAfterMs('999999999', now), 3_600_000);
});

test('400 gives up, a page of a proxy does not', () => {
  const { collector, device, errors, tracker } = start({}, { batchEvents: 2 });
  collector.script = [{ status: 400, body: '{"error":{"code":"malformed","message":"no"}}' }];
  track(tracker, 0, 4);
  assert.deepEqual(collector.numbers, [2, 3]);
  assert.deepEqual(errors, [{ code: 'malformed', message: 'no', lost: 2 }]);
  collector.script = [{ status: 200, body: '<html>' }];
  track(tracker, 4, 6);
  device.pass(1000);
  assert.deepEqual(collector.numbers, [2, 3, 4, 5]);
});

test('a wrong key stops, and keeps everything for the next start', async () => {
  const { collector, device, make, tracker } = start({}, { batchEvents: 2 });
  collector.script = [{ status: 401 }];
  track(tracker, 0, 6);
  assert.equal(await tracker.flush(), false);
  device.pass(1e7);
  assert.equal(collector.requests.length, 1);
  tracker.close();
  const next = make();
  next.setConsent(true);
  assert.equal(await next.flush(), true);
  assert.deepEqual(collector.numbers, [0, 1, 2, 3, 4, 5]);
});

test('413 halves down to single events', async () => {
  const { collector, tracker } = start();
  const { receive } = collector;
  collector.receive = function (body) {
    const { events } = JSON.parse(body);
    if (events.length > 3 || events.some((event) => event.properties.n === 5)) {
      return { status: 413, body: '', retryAfter: null };
    }
    return receive.call(this, body);
  };
  track(tracker, 0, 20);
  assert.equal(await tracker.flush(), true);
  assert.deepEqual(collector.numbers, [...Array(20).keys()].filter((n) => n !== 5));
  assert.equal(tracker.stats.dropped, 1);
  assert.equal(tracker.batches.size, 0);
});

test('what was not sent outlives the page', async () => {
  const { collector, device, make, tracker } = start({}, { batchEvents: 3 });
  collector.silent = true;
  track(tracker, 0, 7); // and the page is killed
  device.pass(60_000);
  collector.silent = false;
  const next = make();
  next.setConsent(true);
  assert.equal(next.deviceId(), tracker.deviceId());
  assert.equal(await next.flush(), true);
  assert.deepEqual(collector.numbers, [0, 1, 2, 3, 4, 5, 6]);
  assert.equal(kept(device).length, 0);
});

test('a page that lives keeps its own; what was taken is let go', async () => {
  const { collector, device, make, tracker } = start({}, { batchEvents: 3 });
  collector.silent = true;
  track(tracker, 0, 4); // one batch sealed, one open
  collector.silent = false;
  const second = make();
  second.setConsent(true);
  assert.equal(await second.flush(), true);
  assert.deepEqual(collector.numbers, []);
  device.pass(0);
  device.time += 60_000; // it sleeps: its timers do not run
  const third = make();
  third.setConsent(true);
  await third.flush();
  assert.deepEqual(collector.numbers, [0, 1, 2, 3]);
  track(tracker, 4, 6); // it wakes: the batch that was open is another's now
  tracker.sender.stop();
  tracker.sender.start();
  await tracker.flush();
  assert.deepEqual(collector.numbers, [0, 1, 2, 3, 4, 5]);
  assert.equal(tracker.batches.size, 0);
});

test('damaged entries are thrown away', () => {
  const { device, make } = start();
  for (const [id, text] of [['a', 'x'], ['b', '0|{"n":1}\n{"n"'], ['c', ''], ['d', '0|']]) {
    device.store.set('zuji::q:' + id, text);
  }
  make().setConsent(true);
  assert.deepEqual(kept(device), []);
});

test('the queue is bounded, the oldest go', async () => {
  const { collector, device, tracker } = start({}, { batchEvents: 5, maxQueue: 5000 });
  collector.silent = true;
  track(tracker, 0, 100);
  assert.ok(tracker.batches.size <= 5000 + 2000);
  collector.silent = false;
  tracker.sender.stop();
  tracker.sender.start();
  assert.equal(await tracker.flush(), true);
  assert.equal(collector.numbers.at(-1), 99);
  assert.equal(collector.numbers.length + tracker.stats.dropped, 100);
  assert.equal(kept(device).length, 0);
});

test('full or forbidden storage: memory does', async () => {
  for (const room of [0, 500, 2000]) {
    const { collector, tracker } = start({ store: memoryStore(new Map(), room) }, { batchEvents: 5 });
    track(tracker, 0, 12);
    assert.equal(await tracker.flush(), true);
    assert.deepEqual(collector.numbers, [...Array(12).keys()]);
  }
});

test('before consent nothing is read, stored or sent', async () => {
  const touched = [];
  const store = new Proxy({}, { get: (_, name) => () => (touched.push(name), null) });
  const { collector, device, tracker } = start({ store }, { consent: null });
  track(tracker, 0, 3);
  tracker.identify('u');
  tracker.reset();
  tracker.reset(true);
  tracker.register({ a: 1 });
  await tracker.flush();
  tracker.sender.hurry();
  device.pass(1e6);
  assert.deepEqual(touched, []);
  assert.deepEqual(collector.requests, []);
  assert.equal(tracker.deviceId(), '');
  assert.equal(tracker.stats.discarded, 3);
});

test('held events go out after a yes, and are forgotten after a no', async () => {
  const yes = start({}, { consent: null, beforeConsent: 'hold' });
  yes.tracker.identify('ann');
  track(yes.tracker, 0, 120);
  yes.device.pass(1000);
  yes.tracker.setConsent(true);
  assert.equal(await yes.tracker.flush(), true);
  assert.equal(yes.collector.numbers.length, 100);
  assert.equal(yes.collector.events[0].time, yes.device.time - 1000);
  assert.equal(yes.collector.events[0].user_id, 'ann');
  const no = start({}, { consent: null, beforeConsent: 'hold' });
  track(no.tracker, 0, 3);
  no.tracker.setConsent(false);
  no.tracker.setConsent(true);
  await no.tracker.flush();
  assert.deepEqual(no.collector.numbers, []);
});

test('withdrawal leaves nothing, and cuts off what is on its way', async () => {
  const { collector, device, tracker } = start({}, { batchEvents: 2 });
  tracker.identify('u');
  const before = tracker.deviceId();
  collector.silent = true;
  track(tracker, 0, 5);
  device.store.set('other', 'mine');
  tracker.setConsent(false);
  assert.equal(device.cut, 1);
  assert.deepEqual([...device.store.map.keys()], ['other']);
  assert.equal(tracker.stats.purged, 5);
  assert.equal(tracker.userId(), '');
  collector.silent = false;
  device.pass(1e6);
  track(tracker, 5, 6);
  tracker.setConsent(true);
  track(tracker, 6, 7);
  await tracker.flush();
  assert.deepEqual(collector.numbers, [6]);
  assert.notEqual(tracker.deviceId(), before);
});

test('undecided again: the queue waits, also for the network and for retries', async () => {
  const { collector, device, tracker } = start();
  collector.script = [{ status: 503 }];
  track(tracker, 0, 2);
  assert.equal(await tracker.flush(), false);
  tracker.setConsent(null);
  device.pass(1e6);
  tracker.sender.hurry();
  assert.equal(collector.requests.length, 1);
  tracker.setConsent(true);
  assert.equal(await tracker.flush(), true);
  assert.deepEqual(collector.numbers, [0, 1]);
});

test('an answer that comes after the request was cut off does not count', () => {
  const { device, tracker } = start();
  let answer;
  device.post = (url, key, body, done) => ((answer = done), () => {});
  track(tracker, 0, 1);
  device.pass(5000);
  tracker.setConsent(null);
  answer({ status: 503, body: '', retryAfter: null });
  assert.equal(device.timers.size, 0);
  assert.equal(tracker.stats.retries, 0);
});

test('sessions end after half an hour, and tabs share them', () => {
  const { collector, device, make, tracker } = start({}, { batchMs: 0 });
  const next = () => (tracker.track('e'), device.pass(0), collector.events.at(-1).properties.$session_id);
  const first = next();
  device.pass(29 * 60_000);
  assert.equal(next(), first);
  const tab = make();
  tab.setConsent(true);
  tab.track('e');
  device.pass(0);
  assert.equal(collector.events.at(-1).properties.$session_id, first);
  device.pass(31 * 60_000);
  assert.notEqual(next(), first);
});

test('users come and go; the device stays', () => {
  const { make, tracker } = start();
  const device = tracker.deviceId();
  tracker.identify('ann');
  const next = make();
  next.setConsent(true);
  assert.equal(next.userId(), 'ann');
  next.reset();
  assert.equal(next.userId(), '');
  assert.equal(next.deviceId(), device);
  next.reset(true);
  assert.notEqual(next.deviceId(), device);
  assert.equal(make().userId(), '');
});

test('common properties', () => {
  const { collector, device, tracker } = start({}, { properties: { app: 'x', $lib: null } });
  tracker.register({ plan: 'gold' });
  tracker.track('e', { plan: 'own' });
  tracker.register({ app: undefined });
  tracker.track('e');
  device.pass(5000);
  const [first, second] = collector.events.map((event) => event.properties);
  assert.equal(first.app, 'x');
  assert.equal(first.plan, 'own');
  assert.equal(second.plan, 'gold');
  assert.ok(!('app' in second) && !('$lib' in second));
});

test('the application cannot break it, nor it the application', () => {
  const { collector, device, make } = start();
  const tracker = make({
    onError: () => {
      throw new Error('its own');
    },
  });
  tracker.setConsent(true);
  tracker.track('');
  collector.script = [{ status: 500 }];
  track(tracker, 0, 1);
  device.pass(5000);
  device.pass(5000);
  assert.deepEqual(collector.numbers, [0]);
});
