package store

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/sockeye-project/sockeye/event"
)

// The builders below hold the values of one column as ClickHouse's Native format writes them, so that a chunk costs no
// allocation per value, and keep their memory from chunk to chunk.

// fixed is a column of numbers of one width.
type fixed []byte

func (c *fixed) u8(v uint8)   { *c = append(*c, v) }
func (c *fixed) u16(v uint16) { *c = binary.LittleEndian.AppendUint16(*c, v) }
func (c *fixed) u64(v uint64) { *c = binary.LittleEndian.AppendUint64(*c, v) }

func (c *fixed) f64(v float64) { c.u64(math.Float64bits(v)) }

// ticks writes a DateTime64: whole units since 1970. A time outside int64's nanoseconds is written as the nearest end,
// far outside every retention.
func (c *fixed) ticks(t time.Time, unit time.Duration) {
	seconds := t.Unix()
	switch {
	case seconds > math.MaxInt64/int64(time.Second)-1:
		c.u64(uint64(math.MaxInt64 / int64(unit)))
	case seconds < math.MinInt64/int64(time.Second)+1:
		c.u64(0)
	default:
		c.u64(uint64(t.UnixNano() / int64(unit)))
	}
}

// later adds to the last of a column of numbers of 64 bits.
func (c *fixed) later(by time.Duration) {
	last := (*c)[len(*c)-8:]
	binary.LittleEndian.PutUint64(last, binary.LittleEndian.Uint64(last)+uint64(by))
}

// nullable is a column of numbers some of which are absent.
type nullable struct {
	nulls  []byte
	values fixed
}

func (c *nullable) u8(v uint8)    { c.nulls = append(c.nulls, 0); c.values.u8(v) }
func (c *nullable) u16(v uint16)  { c.nulls = append(c.nulls, 0); c.values.u16(v) }
func (c *nullable) i64(v int64)   { c.nulls = append(c.nulls, 0); c.values.u64(uint64(v)) }
func (c *nullable) f64(v float64) { c.nulls = append(c.nulls, 0); c.values.u64(math.Float64bits(v)) }

// null writes an absent value whose column is width bytes wide.
func (c *nullable) null(width int) {
	c.nulls = append(c.nulls, 1)
	c.values = append(c.values, make([]byte, width)...)
}

func (c *nullable) reset() { c.nulls, c.values = c.nulls[:0], c.values[:0] }

// text is a column of strings.
type text []byte

func (c *text) add(s string) {
	*c = binary.AppendUvarint(*c, uint64(len(s)))
	*c = append(*c, s...)
}

func (c *text) addBytes(b []byte) {
	*c = binary.AppendUvarint(*c, uint64(len(b)))
	*c = append(*c, b...)
}

// words is a LowCardinality(String) column: a dictionary that begins with the empty string, and an index per row.
type words struct {
	index map[string]uint32
	dict  text
	keys  []uint32
	// last saves the lookup where a value repeats, which in log data is most of the time.
	last    string
	lastKey uint32
}

func (c *words) add(s string) {
	if s == c.last {
		c.keys = append(c.keys, c.lastKey)
		return
	}
	key := uint32(0)
	if s != "" {
		var known bool
		if key, known = c.index[s]; !known {
			if c.index == nil {
				c.index = make(map[string]uint32, 16)
			}
			key = uint32(len(c.index)) + 1
			c.index[s] = key
			c.dict.add(s)
		}
	}
	c.last, c.lastKey = s, key
	c.keys = append(c.keys, key)
}

func (c *words) reset() {
	clear(c.index)
	*c = words{index: c.index, dict: c.dict[:0], keys: c.keys[:0]}
}

// bytes is about how much memory c holds; an entry of the index is taken for its string's header and the map's share.
func (c *words) bytes() int { return len(c.index)*48 + cap(c.dict) + 4*cap(c.keys) }

// Serialization flags of a LowCardinality column: its keys are additional to no shared dictionary, and it brings one.
const wordFlags = 1<<9 | 1<<10

// encode appends the column as the Native format has it. A column without rows is empty.
func (c *words) encode(dst []byte) []byte {
	if len(c.keys) == 0 {
		return dst
	}
	size := len(c.index) + 1
	width := uint64(0)
	switch {
	case size > math.MaxUint16:
		width = 2
	case size > math.MaxUint8:
		width = 1
	}
	dst = binary.LittleEndian.AppendUint64(dst, wordFlags|width)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(size))
	dst = append(dst, 0) // the empty string
	dst = append(dst, c.dict...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(c.keys)))
	switch width {
	case 0:
		for _, k := range c.keys {
			dst = append(dst, byte(k))
		}
	case 1:
		for _, k := range c.keys {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(k))
		}
	default:
		for _, k := range c.keys {
			dst = binary.LittleEndian.AppendUint32(dst, k)
		}
	}
	return dst
}

// wordMap is a Map(LowCardinality(String), String) column.
type wordMap struct {
	ends   fixed
	keys   words
	values text
	// known is the place in keys of each attribute of the model, 0 for one that has not been added yet.
	known [math.MaxUint8 + 1]uint32
}

// add adds the key of an attribute of the model.
func (c *wordMap) add(k event.Key) {
	if i := c.known[k]; i != 0 {
		c.keys.keys = append(c.keys.keys, i)
		return
	}
	c.keys.add(k.String())
	c.known[k] = c.keys.lastKey
}

// end closes a row; what was added to keys and values since the last end is its content.
func (c *wordMap) end() { c.ends.u64(uint64(len(c.keys.keys))) }

func (c *wordMap) bytes() int { return cap(c.ends) + c.keys.bytes() + cap(c.values) }

func (c *wordMap) reset() {
	c.ends, c.values = c.ends[:0], c.values[:0]
	c.keys.reset()
	clear(c.known[:])
}
