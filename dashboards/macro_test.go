package dashboards_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// all is the value of a variable where everything is chosen.
const all = "$__all"

// view is what Grafana fills a query in with: the time range, the distance of points and the variables.
type view struct {
	from, to time.Time
	interval time.Duration
	values   map[string][]string
}

var (
	formatted = regexp.MustCompile(`\$\{(\w+)(?::(\w+))?\}`)
	macro     = regexp.MustCompile(`\$__(\w+)`)
)

// expand does what Grafana's front end does with variables, and then what the ClickHouse plugin does with macros.
func expand(sql string, v view) (string, error) {
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
		values, ok := v.values[arguments[cut+3:]]
		if !ok {
			return fail("no variable %q", arguments[cut+3:])
		}
		for _, value := range values {
			if value == all {
				return "1=1"
			}
		}
		return arguments[:cut]
	})
	sql = formatted.ReplaceAllStringFunc(sql, func(found string) string {
		parts := formatted.FindStringSubmatch(found)
		values, ok := v.values[parts[1]]
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
	from, to := fmt.Sprintf("toDateTime(%d)", v.from.Unix()), fmt.Sprintf("toDateTime(%d)", v.to.Unix())
	seconds := fmt.Sprint(max(int64(v.interval/time.Second), 1))
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
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute,
	5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour,
	6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
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

func TestMacrosExpandAsGrafanaDoes(t *testing.T) {
	t.Parallel()
	v := view{
		from: time.Unix(1415792726, 0), to: time.Unix(1447328726, 0), interval: 30 * time.Second,
		values: map[string][]string{"service": {"it's"}, "region": {"eu", "us"}, "tenant": {all}},
	}
	for name, c := range map[string]struct{ sql, want string }{
		"a time filter includes both ends": {
			"$__timeFilter(bucket)", "bucket >= toDateTime(1415792726) AND bucket <= toDateTime(1447328726)",
		},
		"a time interval":            {"$__timeInterval(bucket) AS time", "toStartOfInterval(toDateTime(bucket), INTERVAL 30 second) AS time"},
		"ends of the range":          {"$__fromTime $__toTime - 60", "toDateTime(1415792726) toDateTime(1447328726) - 60"},
		"the interval in seconds":    {"count() / $__interval_s", "count() / 30"},
		"a value is quoted":          {"${service:singlequote}", `'it\'s'`},
		"several values":             {"$__conditionalAll(region IN (${region:singlequote}), $region)", "region IN ('eu','us')"},
		"everything is no condition": {"$__conditionalAll(tenant IN (${tenant:singlequote}), $tenant) AND 1", "1=1 AND 1"},
		"a macro around a function":  {"$__timeFilter(toDateTime(a)) x", "toDateTime(a) >= toDateTime(1415792726) AND toDateTime(a) <= toDateTime(1447328726) x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := expand(c.sql, v)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	for name, sql := range map[string]string{
		"a variable that is not there": "${nobody:singlequote}",
		"a value without quotes":       "${service}",
		"a macro that is not there":    "$__rateInterval",
		"the short form":               "service = '$service'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := expand(sql, v)
			require.Error(t, err)
		})
	}
}
