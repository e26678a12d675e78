package websocketclickhouseexporter

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
)

const (
	// maxLetters bounds how many letters of one reason a chunk has. The last of them stands for all that follow.
	maxLetters = 100
	// maxProbes bounds how often ClickHouse is asked for the rows of a chunk that it refuses. What is not found by then goes
	// with its neighbours. It is asked minProbes times however long that takes, and more often in half of the chunk's time.
	minProbes, maxProbes = 200, 4000
	// maxLetterWord bounds what a letter takes from a resource.
	maxLetterWord = 200
)

// sorting says which records of a chunk are rows and which are letters. Reading the chunk again gives the same.
type sorting struct {
	letters []store.DeadLetter
	// places says where in the chunk each row stands.
	places []int
	// refused are the places that are left out because ClickHouse refuses their rows.
	refused []store.DeadLetter
	// only bounds what is read while refused rows are looked for; nil reads everything.
	only *reach
	// seen is a hash of the records that are letters, for a chunk that has nothing else to be named by.
	seen uint64
}

// reach is places in a chunk, both included.
type reach struct{ first, last int }

func (s *sorting) reset() { *s = sorting{letters: s.letters[:0], places: s.places[:0]} }

// again empties s for another reading of the same chunk.
func (s *sorting) again() {
	*s = sorting{letters: s.letters[:0], places: s.places[:0], refused: s.refused, only: s.only}
}

func (s *sorting) skips(place int) bool {
	return s.only != nil && (place < s.only.first || place > s.only.last)
}

// row notes a record that can be a row, and returns how often it is to be added: not at all if it is refused, and twice if it
// is the last of those that ClickHouse is asked about, as [store.Store.AcceptsEvents] wants it.
func (s *sorting) row(place int, from store.DeadLetter) int {
	for _, r := range s.refused {
		if place < r.First || place > r.Last {
			continue
		}
		at := slices.IndexFunc(s.letters, func(l store.DeadLetter) bool {
			return l.Reason == store.Refused && l.First == r.First
		})
		if at < 0 {
			from.First, from.Last, from.Reason, from.Text = r.First, r.Last, store.Refused, r.Text
			at, s.letters = len(s.letters), append(s.letters, from)
		}
		s.letters[at].Records++
		return 0
	}
	s.places = append(s.places, place)
	if s.only != nil && place == s.only.last {
		return 2
	}
	return 1
}

// letter notes a record that cannot be a row. The times are those of the record.
func (s *sorting) letter(place int, l store.DeadLetter, times ...pcommon.Timestamp) {
	if s.only != nil {
		return
	}
	hash := fnv.New64a()
	buffer := strconv.AppendUint(nil, s.seen, 16)
	for _, t := range times {
		buffer = strconv.AppendUint(append(buffer, ' '), uint64(t), 16)
	}
	_, _ = hash.Write(append(buffer, l.Service+" "+l.Reason...))
	s.seen = hash.Sum64()

	l.First, l.Last, l.Records = place, place, 1
	same, last := 0, 0
	for i := range s.letters {
		if s.letters[i].Reason == l.Reason {
			same, last = same+1, i
		}
	}
	if same < maxLetters {
		s.letters = append(s.letters, l)
		return
	}
	s.letters[last].Last = place
	s.letters[last].Records++
}

// token names a chunk of which there are only letters.
func (s *sorting) token() string { return "letters-" + strconv.FormatUint(s.seen, 16) }

// letterOf is what a letter says of who sent a record.
func letterOf(resource *event.Resource, attributes pcommon.Map) store.DeadLetter {
	l := store.DeadLetter{Service: resource.String(event.ServiceName)}
	if len(l.Service) > maxLetterWord {
		l.Service = strings.ToValidUTF8(l.Service[:maxLetterWord], "")
	}
	if v, ok := attributes.Get(event.SourceType.String()); ok && v.Type() == pcommon.ValueTypeStr &&
		event.SourceType.Accepts(event.String(v.Str())) {
		l.SourceType = v.Str()
	}
	return l
}

// cargo is the records of a chunk, on their way to one table.
type cargo interface {
	sorted() *sorting
	// load reads the chunk anew.
	load()
	rows() int
	insert(ctx context.Context, s *store.Store, token string) error
	accepts(ctx context.Context, s *store.Store, token string) error
}

// deliver stores a chunk: its letters, and then its rows under its token. Rows that ClickHouse refuses become letters before the
// others are sent, and stay letters when the chunk comes again, whatever ClickHouse thinks of them by then: so a token
// always stands for the same rows.
func (e *clickhouseExporter) deliver(ctx context.Context, s *store.Store, token string, repeated bool, c cargo) error {
	if repeated && c.rows() > 0 {
		refused, err := s.RefusedOf(ctx, token)
		if err != nil {
			return err
		}
		if len(refused) > 0 {
			c.sorted().refused = refused
			c.load()
		}
	}
	for {
		if err := s.InsertDeadLetters(ctx, token, c.sorted().letters); err != nil {
			return err
		}
		if c.rows() == 0 {
			break
		}
		start := time.Now()
		err := c.insert(ctx, s, token)
		e.timed(ctx, start, err)
		if err == nil {
			break
		}
		if store.Retryable(err) {
			return err
		}
		refused, err := refusedBy(ctx, s, token, c, err)
		if err != nil {
			return err
		}
		c.sorted().refused, c.sorted().only = append(c.sorted().refused, refused...), nil
		c.load()
	}
	for _, l := range c.sorted().letters {
		e.drop(ctx, l.Reason, l.Records)
	}
	return nil
}

// refusedBy finds the rows that the table refuses, by asking for halves. Nothing is stored meanwhile.
func refusedBy(ctx context.Context, s *store.Store, token string, c cargo, cause error) ([]store.DeadLetter, error) {
	places := slices.Clone(c.sorted().places)
	probes := 0
	began := time.Now()
	enough := func() bool {
		deadline, bounded := ctx.Deadline()
		late := bounded && time.Since(began) > time.Until(deadline)
		return probes >= maxProbes || late && probes >= minProbes
	}
	refused, err := halve(len(places), enough, func(from, to int) (string, error) {
		probes++
		c.sorted().only = &reach{places[from], places[to-1]}
		c.load()
		err := c.accepts(ctx, s, token)
		var refusal *store.Error
		if err == nil || store.Retryable(err) || !errors.As(err, &refusal) {
			return "", err
		}
		return refusal.Refusal(), nil
	})
	if err != nil {
		return nil, err
	}
	if len(refused) == 0 {
		return nil, s.ViewFault(cause)
	}
	letters := make([]store.DeadLetter, len(refused))
	for i, r := range refused {
		letters[i] = store.DeadLetter{First: places[r.from], Last: places[r.to-1], Text: r.text}
	}
	return letters, nil
}

// half is rows from, and before to, among which is one that is refused.
type half struct {
	from, to int
	text     string
}

// halve finds the rows among n that try refuses: with a text, and with an error only if it cannot say. Once enough is true,
// what is refused and not yet found stays together.
func halve(n int, enough func() bool, try func(from, to int) (string, error)) ([]half, error) {
	text, err := try(0, n)
	if err != nil || text == "" {
		return nil, err
	}
	var found []half
	open := []half{{0, n, text}}
	for len(open) > 0 {
		h := open[0]
		open = open[1:]
		if h.to-h.from == 1 || enough() {
			found = append(found, h)
			continue
		}
		middle := (h.from + h.to) / 2
		left, err := try(h.from, middle)
		if err != nil {
			return nil, err
		}
		if left == "" { // so it is the other
			open = append(open, half{middle, h.to, h.text})
			continue
		}
		open = append(open, half{h.from, middle, left})
		right, err := try(middle, h.to)
		if err != nil {
			return nil, err
		}
		if right != "" {
			open = append(open, half{middle, h.to, right})
		}
	}
	slices.SortFunc(found, func(a, b half) int { return cmp.Compare(a.from, b.from) })
	return found, nil
}

// drop counts what is not stored, and says so once for each reason.
func (e *clickhouseExporter) drop(ctx context.Context, reason string, n int) {
	if n == 0 {
		return
	}
	e.telemetry.ExporterWebsocketclickhouseDroppedRecords.Add(ctx, int64(n), reasonAttribute(reason))
	if _, known := e.reported.LoadOrStore(reason, true); !known {
		e.logger.Warn("records cannot be stored; `sockeye query dead-letters` names them, and from now on they are only "+
			"counted, in otelcol_exporter_websocketclickhouse_dropped_records", zap.String("reason", reason), zap.Int("records", n))
	}
}
