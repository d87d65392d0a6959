// dist/zuji.min.js (global `zuji`), zuji.mjs, zuji.cjs and the types; fails when it got too large.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const MOST_BYTES = 12 * 1024; // gzipped: what a page may be asked to load for this

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const common = {
  absWorkingDir: import.meta.dirname,
  entryPoints: ['src/index.ts'],
  bundle: true,
  // Chrome 64 and Safari 12 know all syntax of 2015.
  target: 'es2015',
  define: { ZUJI_VERSION: JSON.stringify(version) },
  legalComments: 'none',
};
await build({ ...common, outfile: 'dist/zuji.mjs', format: 'esm' });
await build({ ...common, outfile: 'dist/zuji.cjs', format: 'cjs' });
await build({
  ...common,
  outfile: 'dist/zuji.min.js',
  format: 'iife',
  globalName: 'zuji',
  minify: true,
});
// What the tests of the core look into; no part of the package.
await build({
  ...common,
  entryPoints: ['../js-core/src/index.ts'],
  outfile: '.test/core.mjs',
  format: 'esm',
});
const tsc = new URL(import.meta.resolve('typescript/package.json'));
const options = ['-p', 'tsconfig.json', '--emitDeclarationOnly', '--declaration'];
execFileSync(process.execPath, [new URL('bin/tsc', tsc).pathname, ...options], {
  cwd: import.meta.dirname,
  stdio: 'inherit',
});

const bundle = readFileSync(new URL('dist/zuji.min.js', import.meta.url));
const bytes = gzipSync(bundle, { level: 9 }).length;
console.log(`dist/zuji.min.js: ${bundle.length} bytes, ${bytes} gzipped`);
if (bytes > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes gzipped`);
