export default {
  unknown: 'Something went wrong: {why}', other: 'The request failed.',
  unreachable: 'The server cannot be reached. Check the network and try again.',
  unauthorized: 'You are no longer signed in. Please sign in again.', forbidden: 'You may not do this.', not_found: 'Not found.',
  wrong_password: 'Account or password is wrong.', locked_out: 'Too many attempts. Please wait a little.', tls_needed: 'To protect your password, sign in over HTTPS.',
  must_change: 'Please change your password first.', cross_site: 'The page is out of date. Reload it and try again.', conflict: 'Somebody else changed it. Reload and try again.',
  invalid_query: 'The question is not complete or not right.', invalid_event: 'The event is wrong.', unsupported_format: 'A newer release wrote the data files: ask an administrator to upgrade.', invalid_input: 'The input is not right.', method_not_allowed: 'The server takes no request of this kind here.', bad_request: 'The request is malformed.', bad_body: 'The request is not right.',
  query_budget_exceeded: 'The question takes too much time or memory. Narrow the dates or the groups.', query_cancelled: 'The question was cancelled.',
  overloaded: 'The server is busy. Please try again shortly.', throttled: 'Too many requests. Please try again in a while.', storage_failed: 'The storage failed. Please tell your administrator.', storage_full: 'The disk is full. Please tell your administrator.',
  read_only: 'The project can only be read now.', closed: 'The project is closed.', not_ready: 'The project is being opened.', project_locked: 'The project is used by another process.',
  corruption: 'A data file failed its check. Please tell your administrator.', internal: 'An internal error. Please ask your administrator to look into the log.', error: 'The request failed.',
}
