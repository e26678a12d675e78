//go:build linux && amd64 && !noembedded

package embedded

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// nativeOutput sends what a client of the native protocol gets. Progress comes from another goroutine than the rest.
type nativeOutput struct {
	w        io.Writer
	revision int

	mu      sync.Mutex
	err     error // of a write: nothing can be sent any more
	frames  *compress.Writer
	began   time.Time
	headed  bool // names and types of a result have been sent
	sum     summary
	told    progress // what the client has been told so far
	profile proto.Profile
}

// begin makes ready for a query's answer.
func (o *nativeOutput) begin(q nativeQuery, began time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.began, o.headed = began, false
	o.sum, o.told, o.profile, o.frames = summary{}, progress{}, proto.Profile{}, nil
	if !q.compressed {
		return
	}
	method, level := compress.LZ4, compress.LevelZero
	for _, set := range q.settings {
		switch {
		case set.name == "network_compression_method" && strings.EqualFold(set.value, "ZSTD"):
			method = compress.ZSTD
		case set.name == "network_compression_method" && strings.EqualFold(set.value, "NONE"):
			method = compress.None
		case set.name == "network_zstd_compression_level":
			n, _ := strconv.Atoi(set.value)
			level = compress.Level(n)
		}
	}
	o.frames = compress.NewWriter(level, method)
}

// failed is why nothing can be sent any more.
func (o *nativeOutput) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// send sends a packet.
func (o *nativeOutput) send(packet func(b *proto.Buffer)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sendLocked(packet)
}

func (o *nativeOutput) sendLocked(packet func(b *proto.Buffer)) error {
	if o.err == nil {
		var b proto.Buffer
		packet(&b)
		_, o.err = o.w.Write(b.Buf)
	}
	return o.err
}

// block sends a block of a result.
func (o *nativeOutput) blockLocked(data []byte) error {
	var packed proto.Buffer
	if o.frames != nil {
		for rest := data; len(rest) > 0; {
			piece := rest[:min(len(rest), frameBytes)]
			rest = rest[len(piece):]
			if err := o.frames.Compress(piece); err != nil {
				return err
			}
			packed.PutRaw(o.frames.Data)
		}
		data = packed.Buf
	}
	if err := o.sendLocked(func(b *proto.Buffer) {
		proto.ServerCodeData.Encode(b)
		b.PutString("") // the table's name
	}); err != nil {
		return err
	}
	_, o.err = o.w.Write(data)
	return o.err
}

func (o *nativeOutput) headerLocked(columns []column) error {
	var block proto.Buffer
	appendHeader(&block, columns, uint64(o.revision))
	return o.blockLocked(block.Buf)
}

// header sends the names and types of a result.
func (o *nativeOutput) header(columns []column) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.headed = true
	return o.headerLocked(columns)
}

// sample sends the names and types that an INSERT wants.
func (o *nativeOutput) sample(columns []column) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.headerLocked(columns)
}

// write sends blocks of the engine; before the first, names and types alone.
func (o *nativeOutput) write(data []byte) error {
	var sending error
	err := eachBlock(data, uint64(o.revision), func(columns []column, rows uint64, block []byte) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.headed {
			o.headed = true
			sending = o.headerLocked(columns)
		}
		if sending == nil && rows > 0 {
			o.profile.Rows += rows
			o.profile.Blocks++
			o.profile.Bytes += uint64(len(block))
			sending = o.blockLocked(block)
		}
		return sending
	})
	if err != nil && sending == nil {
		err = errNotNative(err)
	}
	return err
}

func (o *nativeOutput) summary(s summary) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sum = s
}

// progress sends how far the statement is: what was read since it was said last.
func (o *nativeOutput) progress(p progress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.progressLocked(p, summary{}) // a client that has gone is noticed by others
}

func (o *nativeOutput) progressLocked(p progress, written summary) error {
	more := func(now, before uint64) uint64 { return max(now, before) - before }
	delta := proto.Progress{
		Rows: more(p.rows, o.told.rows), Bytes: more(p.bytes, o.told.bytes), TotalRows: more(p.total, o.told.total),
		WroteRows: written.writtenRows, WroteBytes: written.writtenBytes,
		ElapsedNs: uint64(max(0, time.Since(o.began))),
	}
	o.told = progress{max(p.rows, o.told.rows), max(p.bytes, o.told.bytes), max(p.total, o.told.total)}
	return o.sendLocked(func(b *proto.Buffer) {
		proto.ServerCodeProgress.Encode(b)
		delta.EncodeAware(b, o.revision)
	})
}

// end ends an answer that went well.
func (o *nativeOutput) end() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.headed {
		// An old client works this out by itself, and fails, unless it is told that it has been.
		o.profile.CalculatedRowsBeforeLimit = true
		_ = o.sendLocked(func(b *proto.Buffer) { o.profile.EncodeAware(b, o.revision) })
	}
	if o.headed || proto.FeatureClientWriteInfo.In(o.revision) {
		// An older client expects nothing at the end of an INSERT.
		_ = o.progressLocked(progress{rows: o.sum.readRows, bytes: o.sum.readBytes}, o.sum)
	}
	return o.sendLocked(func(b *proto.Buffer) { proto.ServerCodeEndOfStream.Encode(b) })
}

// exception ends an answer with an error. Its number has a place of its own in the protocol.
func (o *nativeOutput) exception(e *exception) error {
	message := strings.TrimPrefix(e.text, "Code: "+strconv.Itoa(e.code)+". ")
	return o.send(func(b *proto.Buffer) {
		proto.ServerCodeException.Encode(b)
		sent := proto.Exception{Code: proto.Error(e.code), Name: "DB::Exception", Message: message}
		sent.EncodeAware(b, o.revision)
	})
}
