//go:build linux && amd64 && !noembedded

package embedded

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Supported says whether this build can load the engine at all.
const Supported = true

// chdb is the part of the library's C interface that is used here. Handles are addresses of C objects, never of Go
// ones. Every call blocks an operating system thread while the engine works.
type chdb struct {
	setSignalHandlers func(enabled int32)
	connect           func(argc int32, argv unsafe.Pointer) uintptr
	closeConn         func(conn uintptr)
	query             func(conn uintptr, q unsafe.Pointer, qn uintptr, f unsafe.Pointer, fn uintptr,
		names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	stream func(conn uintptr, q unsafe.Pointer, qn uintptr, f unsafe.Pointer, fn uintptr,
		names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	streamFetch   func(conn, result uintptr) uintptr
	streamCancel  func(conn, result uintptr)
	destroyResult func(result uintptr)
	insert        func(conn uintptr, q unsafe.Pointer, qn uintptr, f unsafe.Pointer, fn uintptr,
		names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	insertAppend  func(stream uintptr, data unsafe.Pointer, n uintptr) int32
	insertDone    func(stream uintptr) uintptr
	insertCancel  func(stream uintptr)
	insertError   func(stream uintptr) string
	destroyInsert func(stream uintptr)
	resultBuffer  func(result uintptr) uintptr
	resultLength  func(result uintptr) uintptr
	resultError   func(result uintptr) string
	rowsRead      func(result uintptr) uint64
	bytesRead     func(result uintptr) uint64
	rowsWritten   func(result uintptr) uint64
	bytesWritten  func(result uintptr) uint64
	classify      func(conn uintptr, q unsafe.Pointer, qn uintptr, db unsafe.Pointer, dbn uintptr,
		out unsafe.Pointer) int32
}

// loaded is the process's one copy of the library: it keeps global state and cannot be unloaded.
var loaded struct {
	sync.Mutex
	path string
	lib  *chdb
}

// load maps the library and switches its signal handlers off, which must happen before the first connection: with
// them on, a nil dereference that Go would recover, SIGTERM and exit all end in the engine's crash handler.
func load(path string) (*chdb, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.lib != nil {
		if loaded.path != path {
			return nil, fmt.Errorf("library %s: another one, %s, is loaded already", path, loaded.path)
		}
		return loaded.lib, nil
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load library %s: %w; it needs Linux with glibc on amd64", path, err)
	}
	lib := &chdb{}
	var missing []error
	for name, target := range map[string]any{
		"chdb_set_signal_handlers_enabled": &lib.setSignalHandlers,
		"chdb_connect":                     &lib.connect,
		"chdb_close_conn":                  &lib.closeConn,
		"chdb_query_with_params_n":         &lib.query,
		"chdb_stream_query_with_params_n":  &lib.stream,
		"chdb_stream_fetch_result":         &lib.streamFetch,
		"chdb_stream_cancel_query":         &lib.streamCancel,
		"chdb_destroy_query_result":        &lib.destroyResult,
		"chdb_stream_insert_with_params_n": &lib.insert,
		"chdb_stream_append":               &lib.insertAppend,
		"chdb_stream_done":                 &lib.insertDone,
		"chdb_stream_cancel_insert":        &lib.insertCancel,
		"chdb_stream_insert_error":         &lib.insertError,
		"chdb_destroy_insert_stream":       &lib.destroyInsert,
		"chdb_result_buffer":               &lib.resultBuffer,
		"chdb_result_length":               &lib.resultLength,
		"chdb_result_error":                &lib.resultError,
		"chdb_result_storage_rows_read":    &lib.rowsRead,
		"chdb_result_storage_bytes_read":   &lib.bytesRead,
		"chdb_result_rows_written":         &lib.rowsWritten,
		"chdb_result_bytes_written":        &lib.bytesWritten,
		"chdb_classify_query_n":            &lib.classify,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			missing = append(missing, fmt.Errorf("%s", name))
			continue
		}
		purego.RegisterFunc(target, symbol)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("library %s: not the pinned version, it lacks %w; run `make libchdb`",
			path, errors.Join(missing...))
	}
	lib.setSignalHandlers(0)
	loaded.path, loaded.lib = path, lib
	return lib, nil
}

// open connects with command line arguments and returns 0 when the engine refuses.
func (l *chdb) open(args []string) uintptr {
	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]*byte, len(args)+1)
	for i, arg := range args {
		text := append([]byte(arg), 0)
		pin.Pin(&text[0])
		argv[i] = &text[0]
	}
	pin.Pin(&argv[0])
	return l.connect(int32(len(args)), unsafe.Pointer(&argv[0]))
}

// handle is what calls take: the connection that the pointer returned by open points to.
func handleOf(conn uintptr) uintptr {
	return *(*uintptr)(pointer(conn))
}

// pointer turns an address of C memory into a pointer. The indirection keeps vet from taking it for a Go address.
func pointer(address uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}

// bytesOf copies a result's data: the buffer dies with the result.
func (l *chdb) bytesOf(result uintptr) []byte {
	n := l.resultLength(result)
	if n == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(pointer(l.resultBuffer(result))), n)...)
}

// text is a string in the form the interface takes it.
func text(s string) (unsafe.Pointer, uintptr) {
	return unsafe.Pointer(unsafe.StringData(s)), uintptr(len(s))
}

// parameters lays query parameters out as four parallel arrays.
type parameters struct {
	pin              runtime.Pinner
	names, values    []*byte
	nameLen, valsLen []uintptr
}

func layOut(params []Parameter) *parameters {
	p := &parameters{}
	for _, param := range params {
		name, value := []byte(param.Name+"\x00"), []byte(param.Value+"\x00")
		p.pin.Pin(&name[0])
		p.pin.Pin(&value[0])
		p.names = append(p.names, &name[0])
		p.values = append(p.values, &value[0])
		p.nameLen = append(p.nameLen, uintptr(len(param.Name)))
		p.valsLen = append(p.valsLen, uintptr(len(param.Value)))
	}
	if len(params) > 0 {
		p.pin.Pin(&p.names[0])
		p.pin.Pin(&p.values[0])
		p.pin.Pin(&p.nameLen[0])
		p.pin.Pin(&p.valsLen[0])
	}
	return p
}

type statementCall func(conn uintptr, q unsafe.Pointer, qn uintptr, f unsafe.Pointer, fn uintptr,
	names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr

func run(call statementCall, conn uintptr, query, format string, params []Parameter) uintptr {
	q, qn := text(query)
	f, fn := text(format)
	p := layOut(params)
	defer p.pin.Unpin()
	result := call(conn, q, qn, f, fn,
		unsafe.Pointer(unsafe.SliceData(p.names)), unsafe.Pointer(unsafe.SliceData(p.nameLen)),
		unsafe.Pointer(unsafe.SliceData(p.values)), unsafe.Pointer(unsafe.SliceData(p.valsLen)),
		uintptr(len(params)))
	runtime.KeepAlive(query)
	runtime.KeepAlive(format)
	return result
}

func (l *chdb) runQuery(conn uintptr, query, format string, params []Parameter) uintptr {
	return run(l.query, conn, query, format, params)
}

func (l *chdb) runStream(conn uintptr, query, format string, params []Parameter) uintptr {
	return run(l.stream, conn, query, format, params)
}

func (l *chdb) runInsert(conn uintptr, query, format string, params []Parameter) uintptr {
	return run(l.insert, conn, query, format, params)
}

func (l *chdb) appendData(stream uintptr, data []byte) bool {
	if len(data) == 0 {
		return true
	}
	ok := l.insertAppend(stream, unsafe.Pointer(&data[0]), uintptr(len(data))) == 0
	runtime.KeepAlive(data)
	return ok
}

// analysis is the library's struct chdb_query_analysis_v1.
type analysis struct {
	size, statements, flags, class uint32
}

// Classes of chdb_query_class.
const (
	classReadOnly = 0
	classGlobal   = 2
	classControl  = 3
	classUnknown  = 4
)

func (l *chdb) analyse(conn uintptr, query string) (analysis, bool) {
	out := &analysis{size: uint32(unsafe.Sizeof(analysis{}))}
	var pin runtime.Pinner
	pin.Pin(out)
	defer pin.Unpin()
	q, qn := text(query)
	ok := l.classify(conn, q, qn, nil, 0, unsafe.Pointer(out)) == 0
	runtime.KeepAlive(query)
	return *out, ok
}
