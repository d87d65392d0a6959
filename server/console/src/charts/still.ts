/** Provided as true where many charts stand together (boards): they are drawn at once, without moving. */
import type { InjectionKey } from 'vue'

export const STILL: InjectionKey<boolean> = Symbol('still')
