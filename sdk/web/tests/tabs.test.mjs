// Random histories of several tabs over one storage: every event arrives, and once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Collector, memoryStore, platform } from '../../js-core/testing.mjs';
import { Tracker } from '../.test/core.mjs';

/** A generator of numbers in [0, 1) that a seed determines (mulberry32). */
function chances(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

async function history(seed) {
  const chance = chances(seed);
  const collector = new Collector();
  const { receive } = collector;
  let calm = false;
  collector.receive = function (body) {
    const batch = JSON.parse(body);
    // What is too large is so every time: nothing of it was ever stored.
    if (batch.events.length > 1 && batch.batch_id.endsWith('a')) {
      return { status: 413, body: '', retryAfter: null };
    }
    const roll = calm ? 1 : chance();
    if (roll < 0.2) this.script = [{ status: 503 }];
    else if (roll < 0.4) this.script = ['lost'];
    return receive.call(this, body); // throws when a batch comes again with other events
  };
  const store = memoryStore();
  const clock = { time: 1_790_000_000_000 };
  const tabs = [];
  const open = () => {
    const device = platform(collector, {
      store,
      now: () => clock.time,
      after(ms, work) {
        const timer = { at: clock.time + ms, work };
        device.timers.add(timer);
        return () => device.timers.delete(timer);
      },
    });
    const options = { url: 'https://c', key: 'k', batchEvents: 1 + Math.floor(chance() * 6), retryCapMs: 9000 };
    const tracker = new Tracker(device, options, '1');
    tracker.setConsent(true);
    tabs.push({ device, tracker });
  };
  const run = ({ device }) => {
    for (const timer of [...device.timers]) {
      if (timer.at <= clock.time && device.timers.delete(timer)) timer.work();
    }
  };
  let n = 0;
  open();
  for (let step = 0; step < 400; step++) {
    const place = Math.floor(chance() * tabs.length);
    const tab = tabs[place];
    const roll = chance();
    if (!tab || roll < 0.05) open();
    else if (roll < 0.6) tab.tracker.track('e', { n: n++ });
    else if (roll < 0.8) {
      clock.time += Math.floor(chance() * 40_000);
      for (const one of tabs) {
        if (chance() < 0.2) one.asleep = !one.asleep; // in the background, its timers stand still
        if (!one.asleep) run(one);
      }
    } else if (roll < 0.85) void tab.tracker.flush();
    else if (roll < 0.9) tab.tracker.batches.release(); // goes away, and comes back
    else if (roll < 0.94) tabs.splice(place, 1); // killed
    else if (roll < 0.97) tabs.splice(place, 1)[0].tracker.close();
    else tab.tracker.sender.hurry();
  }
  calm = true;
  clock.time += 61_000;
  open();
  for (let round = 0; round < 3; round++) {
    clock.time += 61_000;
    for (const tab of tabs) {
      run(tab);
      tab.tracker.sender.hurry();
      await tab.tracker.flush();
    }
  }
  const stored = collector.numbers;
  assert.equal(new Set(stored).size, stored.length, `seed ${seed}: doubled`);
  assert.equal(stored.length, n, `seed ${seed}: lost`);
  assert.ok(![...store.map.keys()].some((key) => key.includes(':q:')), `seed ${seed}: left over`);
  for (const { tracker } of tabs) assert.equal(tracker.batches.size, 0, `seed ${seed}`);
}

test('whatever tabs do, every event arrives once', async () => {
  const first = Math.floor(Math.random() * 2 ** 31);
  for (let k = 0; k < 100; k++) await history(first + k);
});
