package caddy

import (
	"fmt"
	"strings"
	"time"
)

// options are what an encoder's configuration says.
type options struct {
	timeKey, messageKey, nameKey string
	// layout is the one of package time for a time_format that is none of Caddy's names.
	layout string
	// milliseconds is true where durations are whole milliseconds.
	milliseconds bool
}

// layouts are the texts that Caddy's names for time formats stand for. Every one of them is tried, the last that fitted
// first.
var layouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05.000Z0700",
	"2006/01/02 15:04:05",
	"02/Jan/2006:15:04:05 -0700",
}

// named are Caddy's names for time formats.
var named = map[string]bool{
	"unix_seconds_float": true, "unix_milli_float": true, "unix_nano": true, "iso8601": true, "rfc3339": true,
	"rfc3339_nano": true, "wall": true, "wall_milli": true, "wall_nano": true, "common_log": true,
}

// parseOptions reads the body of `format json { … }`, with or without the braces; directives that change nothing here,
// such as those of a filter, are passed over.
func parseOptions(text string) (o options, err error) {
	words := tokens(text)
	for i := 0; i+1 < len(words); i++ {
		value := words[i+1]
		switch words[i] {
		case "time_key":
			o.timeKey = value
		case "message_key":
			o.messageKey = value
		case "name_key":
			o.nameKey = value
		case "time_format":
			if !named[value] {
				o.layout = value
			}
		case "duration_format":
			switch value {
			case "ms", "milli", "millis":
				o.milliseconds = true
			case "s", "second", "seconds", "ns", "nano", "nanos", "string":
			default:
				return o, fmt.Errorf("duration_format %q: want seconds, ms, nano or string", value)
			}
		}
	}
	return o, nil
}

// tokens splits a Caddyfile's text at white space outside quotes.
func tokens(text string) (words []string) {
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if text == "" {
			return words
		}
		if quote := text[:1]; quote == `"` || quote == "`" {
			word, rest, closed := strings.Cut(text[1:], quote)
			if closed {
				words, text = append(words, word), rest
				continue
			}
		}
		end := strings.IndexAny(text, " \t\r\n")
		if end < 0 {
			end = len(text)
		}
		words, text = append(words, text[:end]), text[end:]
	}
}
