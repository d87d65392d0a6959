export default {
  unknown: '出错了：{why}', other: '请求失败。',
  unreachable: '连接不上服务器，请检查网络后重试。',
  unauthorized: '登录已失效，请重新登录。', forbidden: '没有权限进行此操作。', not_found: '没有找到。',
  wrong_password: '账号或密码不正确。', locked_out: '尝试次数过多，请稍后再试。', tls_needed: '为保护密码，请通过 HTTPS 访问后登录。',
  must_change: '请先修改密码。', cross_site: '页面已过期，请刷新后重试。', conflict: '已被他人修改，请刷新后重试。',
  invalid_query: '查询条件有误。', invalid_event: '事件有误。', unsupported_format: '数据文件由更新的版本写入，请联系管理员升级。', invalid_input: '输入有误。', method_not_allowed: '服务器不支持这种请求方式。', bad_request: '请求格式有误。', bad_body: '请求内容有误。',
  query_budget_exceeded: '查询超出时间或内存上限，请缩小时间范围或减少分组。', query_cancelled: '查询已取消。',
  overloaded: '服务器繁忙，请稍后重试。', throttled: '请求过于频繁，请稍后重试。', storage_failed: '存储故障，请联系管理员。', storage_full: '磁盘已满，请联系管理员。',
  read_only: '项目当前只读。', closed: '项目已关闭。', not_ready: '项目正在打开，请稍候。', project_locked: '项目被其他进程占用。',
  corruption: '数据文件校验失败，请联系管理员。', internal: '服务器内部错误，请联系管理员查看日志。', error: '请求失败。',
}
