// dist/index.js (CommonJS, as mini programs require it) and the types.
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: ['src/index.ts'],
  bundle: true,
  target: 'es2015',
  define: { ZUJI_VERSION: JSON.stringify(version) },
  legalComments: 'none',
  outfile: 'dist/index.js',
  format: 'cjs',
  minify: true,
});
// Node takes the .js of a package of modules for a module; mini programs want .js.
copyFileSync(
  new URL('dist/index.js', import.meta.url),
  new URL('dist/index.cjs', import.meta.url)
);
const tsc = new URL(import.meta.resolve('typescript/package.json'));
const options = ['-p', 'tsconfig.json', '--emitDeclarationOnly', '--declaration'];
execFileSync(process.execPath, [new URL('bin/tsc', tsc).pathname, ...options], {
  cwd: import.meta.dirname,
  stdio: 'inherit',
});
const bundle = readFileSync(new URL('dist/index.js', import.meta.url));
console.log(`dist/index.js: ${bundle.length} bytes, ${gzipSync(bundle, { level: 9 }).length} gzipped`);
