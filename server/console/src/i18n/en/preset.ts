/** Events and properties that SDKs send by themselves; names of the tracking plan go before these. */
export default {
  $pageview: 'Page view', $page_leave: 'Page left', $WebClick: 'Web click', $AppClick: 'App click', $MPClick: 'Mini program click', $AppStart: 'App start', $AppEnd: 'App end', $AppInstall: 'App install', $AppViewScreen: 'Screen view', $MPLaunch: 'Mini program launch', $MPViewScreen: 'Mini program page view', $SignUp: 'Sign-in', click: 'Click',
  $name: 'Name of the event', $time: 'Time', $received: 'Received', $os: 'System', $browser: 'Browser', $app_version: 'App version', $url: 'Address', $url_path: 'Path of the page', $title: 'Title', $screen_name: 'Screen', $element_content: 'Element text', $element_path: 'Element path', $referrer: 'Referrer', $city: 'City', $province: 'Province', $country: 'Country',
}
