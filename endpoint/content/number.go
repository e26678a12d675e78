package content

import (
	"bytes"
	"cmp"
	"math/big"
)

// bound is one of minimum, maximum, their exclusive forms, and multipleOf.
type bound struct {
	op    byte // < > [ ] %: value must be below, above, at most, at least, a multiple
	rat   *big.Rat
	small int64
	exact bool // small is rat
}

func (r *run) number(n *node, t *token) bool {
	text := r.doc.data[t.start:t.end]
	v := decimalOf(text)
	whole := v.rest == 0
	var rat *big.Rat
	if !v.exact {
		rat = r.rational(text)
		whole = rat.IsInt()
	}
	if n.integer && !whole {
		return false
	}
	for _, b := range n.bounds {
		if v.exact && b.exact && (whole || b.op != '%') {
			if !b.allowsDecimal(v) {
				return false
			}
			continue
		}
		if rat == nil {
			rat = r.rational(text)
		}
		if !b.allows(rat) {
			return false
		}
	}
	return true
}

func (b bound) allowsDecimal(v decimal) bool {
	if b.op == '%' {
		return v.whole%b.small == 0
	}
	return b.order(cmp.Or(cmp.Compare(v.whole, b.small), cmp.Compare(v.rest, 0)))
}

func (b bound) allows(v *big.Rat) bool {
	if b.op == '%' {
		return new(big.Rat).Quo(v, b.rat).IsInt()
	}
	return b.order(v.Cmp(b.rat))
}

// order takes how the value compares with the bound.
func (b bound) order(c int) bool {
	switch b.op {
	case '<':
		return c < 0
	case '>':
		return c > 0
	case '[':
		return c <= 0
	default:
		return c >= 0
	}
}

// decimal is a number without exponent and of at most 18 digits, as its integer part and what is behind the point, both with
// its sign. Numbers that are none need [rational].
type decimal struct {
	whole, rest int64
	exact       bool
}

func decimalOf(text []byte) decimal {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 18 {
		return decimal{}
	}
	d := decimal{exact: true}
	part := &d.whole
	for _, c := range digits {
		switch {
		case c-'0' <= 9:
			*part = *part*10 + int64(c-'0')
		case c == '.':
			part = &d.rest
		default:
			return decimal{}
		}
	}
	if text[0] == '-' {
		d.whole, d.rest = -d.whole, -d.rest
	}
	return d
}

// rational is exact. What it costs is bounded since parse has bounded the digits and the exponent; an exponent of hundreds
// costs as much as hundreds of other steps.
func (r *run) rational(text []byte) *big.Rat {
	r.steps -= 10
	if bytes.ContainsAny(text, "eE") {
		r.steps -= 100
	}
	v, ok := new(big.Rat).SetString(string(text))
	if !ok {
		return new(big.Rat)
	}
	return v
}

func (r *run) sameNumber(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if x, y := decimalOf(a), decimalOf(b); x.exact && y.exact && (x.rest == 0 || y.rest == 0 || x.whole != y.whole) {
		return x.whole == y.whole && x.rest == y.rest
	}
	return r.rational(a).Cmp(r.rational(b)) == 0
}
