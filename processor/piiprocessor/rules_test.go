package piiprocessor

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/internal/metadatatest"
)

// TestRulesInTheProcessor: a rule works on records and is counted by its name.
func TestRulesInTheProcessor(t *testing.T) {
	t.Parallel()
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	cfg := createDefaultConfig().(*Config)
	cfg.UnknownKeys = unknownScan
	cfg.Rules = []Rule{
		{Name: "customer", Pattern: `customer[ =](\d{6})`, Keywords: []string{"customer"}, Group: 1},
		{Name: "hosts", Pattern: `\w+\.corp\.internal`, Action: "drop"},
	}
	require.NoError(t, cfg.Validate())
	sink := &consumertest.LogsSink{}
	p, err := createLogs(t.Context(), metadatatest.NewSettings(telemetry), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.Background())) })

	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.Body().SetStr("customer 123456 left room 123456")
	lr.Attributes().PutStr("peer", "db1.corp.internal")
	lr.Attributes().PutStr("note", "kept")
	require.NoError(t, p.ConsumeLogs(t.Context(), ld))
	lr = sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	require.Equal(t, "customer [custom] left room 123456", lr.Body().Str())
	require.Equal(t, map[string]any{"note": "kept"}, lr.Attributes().AsRaw())

	point := func(rule, action string) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{
			Value: 1, Attributes: attribute.NewSet(attribute.String("rule", rule), attribute.String("action", action)),
		}
	}
	metadatatest.AssertEqualProcessorPiiActions(t, telemetry, []metricdata.DataPoint[int64]{
		point("customer", "mask"), point("hosts", "drop"),
	}, metricdatatest.IgnoreTimestamp())
}
