package websocketlogreceiver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/follow"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/nginx"
)

// Bounds of what is kept of an error log: a look reads at most the last errorLogBytes.
const (
	errorLogBytes  = 4 << 20
	errorLogCauses = 1 << 16
)

// maxTold bounds what is remembered of files by their paths, of which there may be ever new ones.
const maxTold = 4096

// logFormats is what tells the formats of files apart.
type logFormats struct {
	conf     *nginx.Conf
	errorLog *follow.File

	mu sync.Mutex
	// told are the sentences that were logged.
	told map[string]bool
	// recognised is by path what auto took the last file of that name for.
	recognised map[string]string
}

// startFormat reads what the formats need and says what they lack.
func (r *logReceiver) startFormat() error {
	l := &r.logFormats
	l.told, l.recognised = map[string]bool{}, map[string]string{}
	r.options = r.cfg.options()
	if r.cfg.ErrorLog != "" {
		l.errorLog = follow.New(r.cfg.ErrorLog, errorLogBytes)
		r.options.ErrorLog = nginx.NewErrorLog(r.readErrorLog(), errorLogCauses)
	}
	if r.cfg.NginxConf != "" {
		var err error
		if l.conf, err = readNginxConf(r.cfg.NginxConf); err == nil && r.cfg.LogFormat != "" {
			r.options.Template, err = l.conf.Format(r.cfg.LogFormat)
		}
		if err != nil {
			return fmt.Errorf("nginx_conf: %w", err)
		}
	}
	if l.conf == nil || r.cfg.LogFormat != "" {
		p, err := r.format.New(r.parserSettings, r.options)
		if err != nil {
			return err
		}
		r.advise(p)
	}
	return nil
}

func readNginxConf(name string) (*nginx.Conf, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	return nginx.ReadConf(os.DirFS("/"), name)
}

// readErrorLog returns what reads the error log. That it cannot be read is logged when that changes: connections are
// stored all the same, without the reason for their end.
func (r *logReceiver) readErrorLog() func(func([]byte)) {
	failed := false
	return func(line func([]byte)) {
		err := r.logFormats.errorLog.Read(line)
		switch {
		case err != nil && !failed && !errors.Is(err, fs.ErrNotExist):
			r.logger.Warn("error_log cannot be read; why connections ended stays unknown until it can",
				zap.String("log.file.path", r.cfg.ErrorLog), zap.Error(err))
		case err != nil && !failed:
			r.logger.Info("error_log does not exist yet", zap.String("log.file.path", r.cfg.ErrorLog))
		case err == nil && failed:
			r.logger.Info("error_log can be read again", zap.String("log.file.path", r.cfg.ErrorLog))
		}
		failed = err != nil
	}
}

// advise logs what a parser's format lacks, each sentence once.
func (r *logReceiver) advise(p source.Parser) {
	if adviser, ok := p.(source.Adviser); ok {
		r.warn(adviser.Advice())
	}
}

func (r *logReceiver) warn(advice []string) {
	for _, sentence := range advice {
		if r.logFormats.first(sentence) {
			r.logger.Warn("the log format lacks something", zap.String("advice", sentence))
		}
	}
}

// first reports whether text has not been told before.
func (l *logFormats) first(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told[text] {
		return false
	}
	if len(l.told) >= maxTold {
		clear(l.told) // rather say something twice than remember ever more files
	}
	l.told[text] = true
	return true
}

// newParser returns a parser for one stream of lines.
func (r *logReceiver) newParser(o format.Options) source.Parser {
	p, err := r.format.New(r.parserSettings, o)
	if err != nil {
		// Options have been tried before: Start does for all logs, tail.parsing for one.
		return faultyParser{err}
	}
	return p
}

// faultyParser reads no line.
type faultyParser struct{ err error }

func (p faultyParser) Parse([]byte, func(*event.Event)) error { return p.err }

// parsing returns what the parser of this file is told. The error is errParked for a file whose format is not known, which
// has been logged.
func (t *tail) parsing(s fileState) (format.Options, error) {
	r, o := t.r, t.r.options
	if conf := r.logFormats.conf; conf != nil && r.cfg.LogFormat == "" {
		path, err := filepath.Abs(s.Path)
		if err == nil {
			o.Template, err = conf.FormatOf(path)
		}
		var p source.Parser
		if err == nil {
			p, err = r.format.New(r.parserSettings, o)
		}
		if err != nil {
			if r.logFormats.first(s.Path + ": " + err.Error()) {
				r.logger.Error("file is not read, since its format is not known", t.field(),
					zap.Error(fmt.Errorf("nginx_conf: %w", err)))
			}
			return o, errParked
		}
		r.advise(p)
	}
	if r.format.Name == format.Auto {
		o.Auto = t.recognition(s)
	}
	return o, nil
}

// recognition returns the options of format: auto for this file.
func (t *tail) recognition(s fileState) *format.AutoOptions {
	l := &t.r.logFormats
	l.mu.Lock()
	defer l.mu.Unlock()
	f := t.f
	return &format.AutoOptions{
		Choice: s.Format, Prefer: l.recognised[s.Path],
		Head: func() []byte {
			head := make([]byte, format.AutoBytes+1)
			n, err := f.ReadAt(head, 0)
			if err != nil && !errors.Is(err, io.EOF) {
				return nil // as empty: it is tried again with a later line
			}
			return head[:n]
		},
		Recognised: func(found format.Recognition) {
			t.mu.Lock()
			t.state.Format = found.Choice
			path := t.state.Path
			t.mu.Unlock()
			l.mu.Lock()
			if len(l.recognised) >= maxTold {
				clear(l.recognised)
			}
			l.recognised[path] = found.Choice
			l.mu.Unlock()
			t.r.logger.Info("format recognised: "+found.String(), t.field())
			t.r.warn(found.Advice)
		},
		Unrecognised: func(err error) {
			if l.first(s.Path) {
				t.r.logger.Error("format not recognised; lines of this file are counted as malformed", t.field(), zap.Error(err))
			}
		},
	}
}
