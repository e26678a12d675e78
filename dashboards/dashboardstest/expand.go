// Package dashboardstest fills in the statements of dashboards as Grafana and its ClickHouse plugin do, so that tests and
// measurements can run them without either. It knows the macros that our statements use, and no others.
package dashboardstest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/sockeye-project/sockeye/dashboards"
)

// All is the value of a variable where everything is chosen.
const All = "$__all"

// View is what Grafana fills a query in with: the time range, the distance of points and the variables.
type View struct {
	From, To time.Time
	Interval time.Duration
	Values   map[string][]string
}

var (
	formatted = regexp.MustCompile(`\$\{(\w+)(?::(\w+))?\}`)
	macro     = regexp.MustCompile(`\$__(\w+)`)
)

// Expand does what Grafana's front end does with variables, and then what the ClickHouse plugin does with macros.
func Expand(sql string, v View) (string, error) {
	var fault error
	fail := func(format string, args ...any) string {
		if fault == nil {
			fault = fmt.Errorf(format, args...)
		}
		return ""
	}
	sql = calls(sql, "$__conditionalAll", func(arguments string) string {
		cut := strings.LastIndex(arguments, ", $")
		if cut < 0 {
			return fail("conditionalAll(%s): names no variable", arguments)
		}
		values, ok := v.Values[arguments[cut+3:]]
		if !ok {
			return fail("no variable %q", arguments[cut+3:])
		}
		for _, value := range values {
			if value == All {
				return "1=1"
			}
		}
		return arguments[:cut]
	})
	sql = formatted.ReplaceAllStringFunc(sql, func(found string) string {
		parts := formatted.FindStringSubmatch(found)
		values, ok := v.Values[parts[1]]
		if !ok {
			return fail("no variable %q", parts[1])
		}
		switch parts[2] {
		case "singlequote":
			quoted := make([]string, len(values))
			for i, value := range values {
				quoted[i] = "'" + strings.ReplaceAll(value, "'", `\'`) + "'"
			}
			return strings.Join(quoted, ",")
		default:
			return fail("%s: a value in a statement must be quoted", found)
		}
	})
	from, to := fmt.Sprintf("toDateTime(%d)", v.From.Unix()), fmt.Sprintf("toDateTime(%d)", v.To.Unix())
	seconds := fmt.Sprint(max(int64(v.Interval/time.Second), 1))
	sql = calls(sql, "$__timeFilter", func(column string) string {
		return fmt.Sprintf("%s >= %s AND %s <= %s", column, from, column, to)
	})
	sql = calls(sql, "$__timeInterval", func(column string) string {
		return fmt.Sprintf("toStartOfInterval(toDateTime(%s), INTERVAL %s second)", column, seconds)
	})
	sql = strings.NewReplacer("$__fromTime", from, "$__toTime", to, "$__interval_s", seconds).Replace(sql)
	if rest := macro.FindString(sql); rest != "" {
		return "", fmt.Errorf("no such macro: %s", rest)
	}
	if fault == nil && strings.Contains(sql, "$") {
		return "", fmt.Errorf("something is left of a variable: %s", sql[strings.Index(sql, "$"):])
	}
	return sql, fault
}

// calls replaces each name(…), whose argument may have parentheses itself.
func calls(sql, name string, with func(arguments string) string) string {
	var b strings.Builder
	for {
		at := strings.Index(sql, name+"(")
		if at < 0 {
			return b.String() + sql
		}
		b.WriteString(sql[:at])
		sql = sql[at+len(name)+1:]
		depth, end := 1, 0
		for ; end < len(sql) && depth > 0; end++ {
			switch sql[end] {
			case '(':
				depth++
			case ')':
				depth--
			}
		}
		b.WriteString(with(sql[:end-1]))
		sql = sql[end:]
	}
}

// intervals are the distances of points that Grafana rounds to, each from half way to the one before.
var intervals = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second,
	30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
	20 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour,
}

// interval is the distance that Grafana chooses for a range and a width, but not below the least.
func interval(span time.Duration, points int, least time.Duration) time.Duration {
	ideal := span / time.Duration(points)
	chosen := intervals[0]
	for i := 1; i < len(intervals); i++ {
		if ideal > (intervals[i-1]+intervals[i])/2 {
			chosen = intervals[i]
		}
	}
	return max(chosen, least)
}

// span reads one as dashboards have it: 6h, 30d.
func span(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

// ViewOf is how a panel is seen on a screen 1440 pixels wide, or the board itself where there is no panel.
func ViewOf(b *dashboards.Dashboard, p *dashboard.Panel, now time.Time, values map[string][]string) (View, error) {
	v := View{To: now, Values: values}
	shown, least := strings.TrimPrefix(b.Time.From, "now-"), time.Second
	if p != nil && p.TimeFrom != nil {
		shown = *p.TimeFrom
	}
	length, err := span(shown)
	if err != nil {
		return v, err
	}
	v.From = now.Add(-length)
	if p == nil {
		return v, nil
	}
	if p.Interval != nil {
		if least, err = span(*p.Interval); err != nil {
			return v, err
		}
	}
	v.Interval = interval(length, int(p.GridPos.W)*60, least)
	return v, nil
}

// Statement is what a panel asks, or a variable of a board.
type Statement struct {
	Board, Name, SQL string
}

// Statements are those of ClickHouse boards, each over its board's usual range.
func Statements(boards []*dashboards.Dashboard, now time.Time, values map[string][]string) ([]Statement, error) {
	var all []Statement
	for _, b := range boards {
		add := func(name, sql string, p *dashboard.Panel) error {
			v, err := ViewOf(b, p, now, values)
			if err == nil {
				sql, err = Expand(sql, v)
			}
			if err != nil {
				return fmt.Errorf("%s: %s: %w", *b.Title, name, err)
			}
			all = append(all, Statement{*b.Title, name, sql})
			return nil
		}
		for _, v := range b.Templating.List {
			if v.Type != dashboard.VariableTypeQuery {
				continue
			}
			if err := add("variable "+v.Name, *v.Query.String, nil); err != nil {
				return nil, err
			}
		}
		for _, p := range b.Panels {
			if p.Panel == nil {
				continue
			}
			for _, target := range p.Panel.Targets {
				if err := add(*p.Panel.Title, target.(*dashboards.Query).RawSQL, p.Panel); err != nil {
					return nil, err
				}
			}
		}
	}
	return all, nil
}
