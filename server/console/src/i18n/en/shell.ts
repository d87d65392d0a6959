export default {
  navigation: 'Navigation', menu: 'Fold or unfold the navigation', skip: 'Skip to content', home: 'Back to the start',
  project: 'Project', noProject: 'No project', language: 'Language', account: 'Account',
  languages: { zh: '中文', en: 'English' },
  light: 'Light appearance', dark: 'Dark appearance',
  roles: { administrator: 'Administrator', analyst: 'Analyst', viewer: 'Viewer' },
  groups: { boards: 'Boards', analysis: 'Analysis', people: 'People', data: 'Data', settings: 'System' },
  pages: { boards: 'Boards', saved: 'Saved analyses', users: 'Users', cohorts: 'Cohorts', tags: 'Tags', data: 'Data', settings: 'Settings' },
  signIn: 'Sign in', signOut: 'Sign out', signOutEverywhere: 'Sign out everywhere', welcome: 'Behaviour analytics. Please sign in.', login: 'Account', password: 'Password',
  changePassword: 'Change password', mustChange: 'Please change the first password before you go on.', oldPassword: 'Current password', newPassword: 'New password', newPasswordAgain: 'New password again',
  passwordShort: 'A password has at least {n} characters', passwordDiffers: 'The two passwords differ',
  missing: 'No such page', missingText: 'There is no such page; it may have been moved or deleted.', coming: 'This page is being written',
  newVersion: 'A new version of the console is here. Reload to go on.', reload: 'Reload',
}
