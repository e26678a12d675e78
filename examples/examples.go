// Package examples holds the configurations that the documentation tells users to start from, so that the demo and the
// tests run the very files that users copy.
package examples

import _ "embed"

// NginxLogFormat is the log_format that the websocketlog receiver reads with format: nginx.
//
//go:embed nginx.log_format.conf
var NginxLogFormat string
