package dashboardstest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMacrosExpandAsGrafanaDoes(t *testing.T) {
	t.Parallel()
	v := View{
		From: time.Unix(1415792726, 0), To: time.Unix(1447328726, 0), Interval: 30 * time.Second,
		Values: map[string][]string{"service": {"it's"}, "region": {"eu", "us"}, "tenant": {All}},
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
			got, err := Expand(c.sql, v)
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
			_, err := Expand(sql, v)
			require.Error(t, err)
		})
	}
}
