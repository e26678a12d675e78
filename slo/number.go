package slo

import (
	"bytes"
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// places is how many decimals a ratio that has no finite decimal form is rounded to when it is written.
const places = 9

// maxDecimals bounds what a document may write, so that every number of a document has an exact decimal form.
const maxDecimals = 12

// Number is an exact rational number, or nothing: the zero Number stands for a ratio without a denominator.
type Number struct{ rat *big.Rat }

// Ratio returns a/b, or nothing if b is 0.
func Ratio(a, b uint64) Number {
	if b == 0 {
		return Number{}
	}
	return Number{new(big.Rat).SetFrac(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))}
}

func rat(r *big.Rat) Number { return Number{r} }

var decimalForm = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,12})?$`)

// Decimal parses a plain decimal such as "99.9"; exponents, signs and more than 12 decimals are refused.
func Decimal(text string) (Number, error) {
	if !decimalForm.MatchString(text) {
		return Number{}, fmt.Errorf("%q is not a plain decimal of at most %d places", text, maxDecimals)
	}
	r, _ := new(big.Rat).SetString(text)
	return Number{r}, nil
}

// mustDecimal is for the tables of this package.
func mustDecimal(text string) Number {
	n, err := Decimal(text)
	if err != nil {
		panic("slo: " + err.Error())
	}
	return n
}

// Valid reports whether there is a number at all.
func (n Number) Valid() bool { return n.rat != nil }

// Float64 returns the nearest float, or 0 for nothing. It is for drawing, never for deciding.
func (n Number) Float64() float64 {
	if n.rat == nil {
		return 0
	}
	f, _ := n.rat.Float64()
	return f
}

// String is the shortest decimal: exact where there is one of at most 12 places, else rounded to 9; "-" for nothing.
func (n Number) String() string {
	if n.rat == nil {
		return "-"
	}
	exact := new(big.Int).Exp(big.NewInt(10), big.NewInt(maxDecimals), nil)
	if new(big.Int).Rem(exact, n.rat.Denom()).Sign() == 0 {
		return trim(n.rat.FloatString(maxDecimals))
	}
	return trim(n.rat.FloatString(places))
}

// Round is the decimal rounded to at most so many places; "-" for nothing.
func (n Number) Round(places int) string {
	if n.rat == nil {
		return "-"
	}
	return trim(n.rat.FloatString(places))
}

// Percent is Round of the number times 100.
func (n Number) Percent(places int) string {
	if n.rat == nil {
		return "-"
	}
	return rat(new(big.Rat).Mul(n.rat, hundred)).Round(places)
}

// Times is the number times a whole one; nothing for nothing.
func (n Number) Times(k uint64) Number {
	if n.rat == nil {
		return n
	}
	return rat(new(big.Rat).Mul(n.rat, new(big.Rat).SetInt(new(big.Int).SetUint64(k))))
}

// Cmp compares two numbers that are both valid.
func (n Number) Cmp(m Number) int { return n.rat.Cmp(m.rat) }

// MarshalJSON writes a JSON number, or null for nothing.
func (n Number) MarshalJSON() ([]byte, error) {
	if n.rat == nil {
		return []byte("null"), nil
	}
	return []byte(n.String()), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Number) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		*n = Number{}
		return nil
	}
	text, negative := strings.CutPrefix(string(data), "-")
	if len(text) > 64 {
		return fmt.Errorf("%d digits are too many for a number", len(text))
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "/eE") {
		return fmt.Errorf("%q is not a decimal", data)
	}
	if negative {
		r.Neg(r)
	}
	n.rat = r
	return nil
}

var (
	one     = big.NewRat(1, 1)
	hundred = big.NewRat(100, 1)
)

func trim(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}
