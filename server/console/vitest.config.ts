import { mergeConfig } from 'vitest/config'

import site from './vite.config'

/** As the console is built; Element Plus goes through the same steps, for its styles are no modules of Node. */
export default mergeConfig(site, { test: { server: { deps: { inline: ['element-plus'] } } } })
