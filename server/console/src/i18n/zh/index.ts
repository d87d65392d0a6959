/** All areas of the language: the file `boards.ts` is `boards.…`. */
const files = import.meta.glob<Record<string, unknown>>(['./*.ts', '!./index.ts'], {
  eager: true,
  import: 'default',
})

export default Object.fromEntries(
  Object.entries(files).map(([path, texts]) => [path.slice(2, -3), texts]),
)

export { default as element } from 'element-plus/es/locale/lang/zh-cn'
