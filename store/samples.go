package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// PayloadSample is the beginning of a message that could not be parsed.
type PayloadSample struct {
	Time                           time.Time
	Service, Tenant, ConnectionID  string
	ErrorType, MessageType, Schema string
	// Size is that of the whole message.
	Size uint64
	Text string
}

// PayloadSampleOf takes it out of a websocket.message.sampled.
func PayloadSampleOf(e *event.Event) PayloadSample {
	return PayloadSample{
		Time: e.Time, Service: e.Resource.String(event.ServiceName), Tenant: e.String(event.TenantID),
		ConnectionID: e.String(event.ConnectionID), ErrorType: e.String(event.ErrorType),
		MessageType: e.String(event.MessageType), Schema: e.String(event.SchemaID),
		Size: uint64(max(e.Get(event.MessageSize).Int(), 0)), Text: e.String(event.MessageSample),
	}
}

var sampleColumns = columnList(schema.SampleColumns())

// InsertPayloadSamples stores samples as one INSERT. It needs no name: the same samples again change nothing.
func (s *Store) InsertPayloadSamples(ctx context.Context, samples []PayloadSample) error {
	if len(samples) == 0 {
		return nil
	}
	hash := sha256.New()
	for _, p := range samples {
		fmt.Fprintf(hash, "%d %q %q %q\n", p.Time.UnixNano(), p.ConnectionID, p.ErrorType, p.Text)
	}
	token := "samples-" + hex.EncodeToString(hash.Sum(nil)[:16])
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(insertSettings(token)),
		clickhouse.WithColumnNamesAndTypes(sampleColumns))
	batch, err := s.conn.PrepareBatch(ctx, s.insertInto(schema.PayloadSamples, schema.SampleColumns()))
	if err != nil {
		return s.explain("insert payload samples", err)
	}
	for _, p := range samples {
		if err := batch.Append(p.Time, p.Service, p.Tenant, p.ConnectionID, p.ErrorType, p.MessageType, p.Size, p.Schema,
			p.Text); err != nil {
			return errors.Join(s.schemaFault("insert payload samples", err), batch.Abort())
		}
	}
	return s.explain("insert payload samples", batch.Send())
}
