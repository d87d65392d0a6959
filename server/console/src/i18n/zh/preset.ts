/** Events and properties that SDKs send by themselves; names of the tracking plan go before these. */
export default {
  $pageview: '页面浏览', $page_leave: '离开页面', $WebClick: 'Web 点击', $AppClick: 'App 点击', $MPClick: '小程序点击', $AppStart: 'App 启动', $AppEnd: 'App 退出', $AppInstall: 'App 安装', $AppViewScreen: 'App 页面浏览', $MPLaunch: '小程序启动', $MPViewScreen: '小程序页面浏览', $SignUp: '用户登录', click: '点击',
  $name: '事件名', $time: '事件时间', $received: '接收时间', $os: '操作系统', $browser: '浏览器', $app_version: 'App 版本', $url: '页面地址', $url_path: '页面路径', $title: '页面标题', $screen_name: '页面名称', $element_content: '元素内容', $element_path: '元素路径', $referrer: '来源地址', $city: '城市', $province: '省份', $country: '国家',
}
