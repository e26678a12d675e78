package haproxy

import (
	"errors"
	"strings"

	"github.com/sockeye-project/sockeye/source/fields"
)

// expressionOf returns the header that an expression of a format has the value of; false if it has none.
func expressionOf(name string) (string, bool) {
	_, expression, found := strings.Cut(name, "[")
	if !found {
		return "", false
	}
	return argument(expression, "capture.req.hdr", "capture.res.hdr", "var", "req.hdr", "res.hdr")
}

// advise says what a format lacks; the error, without what no line can be used.
func (c *config) advise(paths bool) (advice []string, err error) {
	tokens, list, _, err := c.tokens(c.format)
	if err != nil {
		return nil, err
	}
	has := map[fields.ID]bool{}
	for _, t := range tokens {
		has[t.Field] = true
	}
	for _, f := range list {
		has[f.id] = true
	}
	any := func(of ...fields.ID) bool {
		for _, f := range of {
			if has[f] {
				return true
			}
		}
		return false
	}
	add := func(ok bool, text string) {
		if !ok {
			advice = append(advice, text)
		}
	}
	if !any(status) {
		err = errors.New("add %ST: without it no line says what became of a handshake")
	}
	if !any(requestTime, requestZoned, acceptTime, acceptUnix, acceptZoned) {
		err = errors.Join(err, errors.New("add [%tr]: without a time no line can be used"))
	}
	asks := paths || any(upgrade, capture0, capture1, capture2, capture3)
	if has[requestCaptures] {
		for _, f := range c.request {
			asks = asks || f == upgrade
		}
		asks = asks || c.request == nil
	}
	add(asks,
		"add `capture request header Upgrade len 16` and %hr, or name websocket_paths, to see handshakes that were rejected")
	add(any(timeActive, timeTotal), "add %Ta, to see how long connections lasted and when they closed")
	add(any(termination), "add %ts, to see idle timeouts and resets")
	add(any(timeResponse) && any(timeConnect), "add %TR/%Tw/%Tc/%Tr, to see how long handshakes took")
	add(any(client, clientIP), "add %ci:%cp, to tell connections apart")
	for i, t := range tokens {
		if _, known := expressionOf(t.Name); known && i+1 < len(tokens) && strings.HasPrefix(tokens[i+1].Literal, " ") {
			advice = append(advice, "put "+t.Name+" in quotes, as %{+Q} does: a client can put spaces into it")
		}
	}
	return advice, err
}
