/** All models by name. */
import type { Model } from '@/api/types'

import attribution from './attribution/kit'
import clicks from './clicks/kit'
import concurrency from './concurrency/kit'
import distribution from './distribution/kit'
import event from './event/kit'
import funnel from './funnel/kit'
import interval from './interval/kit'
import type { Kit } from './kit'
import lifecycle from './lifecycle/kit'
import ltv from './ltv/kit'
import path from './path/kit'
import retention from './retention/kit'
import rfm from './rfm/kit'
import session from './session/kit'
import stickiness from './stickiness/kit'
import userProperty from './user_property/kit'

export const KITS: Record<Model, Kit> = {
  event, funnel, retention, path, distribution, interval, attribution, session, user_property: userProperty, clicks, ltv,
  lifecycle, stickiness, rfm, concurrency,
}
