export default {
  navigation: '导航', menu: '展开或收起导航', skip: '跳到正文', home: '回到首页',
  project: '项目', noProject: '没有项目', language: '语言', account: '账号',
  languages: { zh: '中文', en: 'English' },
  light: '浅色模式', dark: '深色模式',
  roles: { administrator: '管理员', analyst: '分析员', viewer: '查看者' },
  groups: { boards: '看板', analysis: '分析', people: '用户', data: '数据', settings: '系统' },
  pages: { boards: '看板', saved: '已存分析', users: '用户查询', cohorts: '用户分群', tags: '用户标签', data: '数据管理', settings: '设置' },
  signIn: '登录', signOut: '退出登录', signOutEverywhere: '退出所有设备', welcome: '行为分析平台，请登录', login: '账号', password: '密码',
  changePassword: '修改密码', mustChange: '首次登录请先修改初始密码。', oldPassword: '当前密码', newPassword: '新密码', newPasswordAgain: '再次输入新密码',
  passwordShort: '密码至少 {n} 个字符', passwordDiffers: '两次输入的密码不一致',
  missing: '页面不存在', missingText: '没有这个页面，可能已被移动或删除。', coming: '页面建设中',
  newVersion: '控制台已更新到新版本，重新加载后继续。', reload: '重新加载',
}
