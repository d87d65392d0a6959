// The bundle itself: small, and nothing in it that old browsers do not know.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import vm from 'node:vm';

const bundle = readFileSync(new URL('../dist/zuji.min.js', import.meta.url), 'utf8');

test('at most 12 KiB gzipped', () => {
  assert.ok(gzipSync(bundle, { level: 9 }).length <= 12 * 1024);
});

test('one global, and nothing happens before init', () => {
  const context = vm.createContext({});
  vm.runInContext(bundle, context);
  assert.deepEqual(Object.keys(context), ['zuji']);
  assert.equal(typeof context.zuji.init, 'function');
});

test('no syntax or function younger than Chrome 64 and Safari 12', () => {
  for (const young of [/\?\./, /\?\?/, /\*\*/, /\.\.\.\w+\s*[,}]\s*=>/, /catch\s*\{/, /async /,
    /\.flat\(/, /\.flatMap\(/, /\.at\(/, /fromEntries/, /matchAll/, /replaceAll/, /allSettled/,
    /AbortController/, /globalThis/, /queueMicrotask/, /structuredClone/, /randomUUID/, /\d_\d/]) {
    assert.doesNotMatch(bundle, young);
  }
});
