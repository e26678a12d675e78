package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/sockeye-project/sockeye/store/schema"
)

// DefaultDatabase is used where neither the DSN nor the options name one.
const DefaultDatabase = "sockeye"

// Options adds to a DSN what should not stand in it. The zero value is ready to use.
type Options struct {
	// Username, Password and Database override the DSN's.
	Username, Password, Database string
	// Compression of inserts and results: "none", "lz4" or "zstd". Empty means the DSN's, and where that names none,
	// lz4, or none for an engine on this machine.
	Compression string
	// DialTimeout bounds connecting; 0 means the DSN's dial_timeout, and where that names none, 5 s.
	DialTimeout time.Duration
	// MaxConnections bounds how many connections are open at once; 0 means the DSN's max_open_conns, and where that names
	// none, 8.
	MaxConnections int
	// KeepDatabase refuses a database that does not exist instead of creating it.
	KeepDatabase bool
	// Client names the program in the server's query log.
	Client string
	// Cluster is set where the database lies on a cluster.
	Cluster schema.Cluster
}

// Store is an open connection pool. It is safe for concurrent use.
type Store struct {
	conn     driver.Conn
	address  string
	database string
	username string
	cluster  schema.Cluster
}

var (
	schemes    = []string{"clickhouse", "tcp", "http", "https"}
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

	errDatabaseName = errors.New("database: use letters, digits, _ and -, beginning with a letter or _")
)

// Hosts cuts a DSN that names several hosts, DSNs separated by commas, into one DSN a host. A comma that no scheme
// follows belongs to what it stands in.
func Hosts(dsn string) []string {
	var hosts []string
	for part := range strings.SplitSeq(dsn, ",") {
		part = strings.TrimLeft(part, " ")
		scheme, _, found := strings.Cut(part, "://")
		if len(hosts) == 0 || found && slices.Contains(schemes, scheme) {
			hosts = append(hosts, part)
			continue
		}
		hosts[len(hosts)-1] += "," + part
	}
	return hosts
}

// parse makes the driver's options of a DSN. It never repeats the DSN in an error: it may hold a password.
func parse(dsn string, o Options) (*clickhouse.Options, error) {
	if err := o.Cluster.Validate(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	hosts := Hosts(dsn)
	opts, err := parseHost(hosts[0], o)
	if err != nil {
		return nil, err
	}
	for _, host := range hosts[1:] {
		other, err := parseHost(host, o)
		if err != nil {
			return nil, err
		}
		if other.Protocol != opts.Protocol || other.Auth != opts.Auth || (other.TLS == nil) != (opts.TLS == nil) {
			return nil, errors.New("endpoint: hosts that stand in for each other differ in more than host and port")
		}
		if slices.Contains(opts.Addr, other.Addr[0]) {
			return nil, errors.New("endpoint: names a host twice")
		}
		opts.Addr = append(opts.Addr, other.Addr...)
	}
	return opts, nil
}

func parseHost(dsn string, o Options) (*clickhouse.Options, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		return nil, errors.New("endpoint: write it like http://127.0.0.1:8123/sockeye or clickhouse://host:9000/sockeye")
	}
	if u.Scheme == "https" && u.Query().Get("secure") == "" {
		// The driver wants it said twice.
		q := u.Query()
		q.Set("secure", "true")
		u.RawQuery = q.Encode()
	}
	opts, err := clickhouse.ParseDSN(u.String())
	if err != nil {
		return nil, errors.New("endpoint: a query parameter has a value that the ClickHouse driver does not take; " +
			"see its DSN documentation")
	}
	override := func(dst *string, values ...string) {
		for _, v := range values {
			if v != "" {
				*dst = v
			}
		}
	}
	if opts.Auth.Database == "" {
		opts.Auth.Database = DefaultDatabase
	}
	override(&opts.Auth.Username, o.Username)
	override(&opts.Auth.Password, o.Password)
	override(&opts.Auth.Database, o.Database)
	if !identifier.MatchString(opts.Auth.Database) {
		return nil, errDatabaseName
	}
	switch o.Compression {
	case "":
		if opts.Compression == nil && !isLoopback(u.Hostname()) {
			opts.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
		}
	case "none":
		opts.Compression = nil
	case "lz4":
		opts.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	case "zstd":
		opts.Compression = &clickhouse.Compression{Method: clickhouse.CompressionZSTD, Level: 1}
	default:
		return nil, fmt.Errorf("compression: must be none, lz4 or zstd, got %q", o.Compression)
	}
	opts.DialTimeout = cmp.Or(o.DialTimeout, opts.DialTimeout, 5*time.Second)
	opts.MaxOpenConns = cmp.Or(o.MaxConnections, opts.MaxOpenConns, 8)
	opts.MaxIdleConns = opts.MaxOpenConns
	opts.ClientInfo.Products = append(opts.ClientInfo.Products,
		struct{ Name, Version string }{cmp.Or(o.Client, "sockeye"), ""})
	return opts, nil
}

// CheckDSN returns the fault that Open would find in dsn and options without connecting, or nil.
func CheckDSN(dsn string, o Options) error {
	_, err := parse(dsn, o)
	return err
}

// Open connects, to the first of several hosts that answers, checks name and password, and creates the database if it is
// absent. The error, if any, is an [*Error] or a fault of dsn.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	opts, err := parse(dsn, o)
	if err != nil {
		return nil, err
	}
	s := &Store{address: strings.Join(opts.Addr, ","), database: opts.Auth.Database,
		username: opts.Auth.Username, cluster: o.Cluster}
	if s.username == "" {
		s.username = "default"
	}
	if s.conn, err = clickhouse.Open(opts); err != nil {
		return nil, s.explain("connect", err)
	}
	err = s.reach(ctx)
	if codeOf(err) == codeUnknownDatabase && !o.KeepDatabase {
		err = s.createDatabase(ctx, *opts)
	}
	if err != nil {
		s.conn.Close()
		return nil, s.explain("connect", err)
	}
	return s, nil
}

// createDatabase connects once more, without naming the database that does not exist yet.
func (s *Store) createDatabase(ctx context.Context, opts clickhouse.Options) error {
	opts.Auth.Database = "default"
	admin, err := clickhouse.Open(&opts)
	if err != nil {
		return err
	}
	defer admin.Close()
	statement := "CREATE DATABASE IF NOT EXISTS " + quote(s.database) + s.cluster.OnCluster()
	if err := admin.Exec(s.onCluster(ctx), statement); err != nil {
		return err
	}
	return s.reach(ctx)
}

// reach asks for nothing, in the database: a ping of the native protocol may be answered where there is none.
func (s *Store) reach(ctx context.Context) error {
	if err := s.conn.Ping(ctx); err != nil {
		return err
	}
	return s.conn.Exec(ctx, "SELECT 1")
}

// Close closes the pool.
func (s *Store) Close() error { return s.conn.Close() }

// Conn is the driver's connection, for queries. Their errors go through [Store.Explain].
func (s *Store) Conn() driver.Conn { return s.conn }

// Database is the database that statements run in.
func (s *Store) Database() string { return s.database }

// Address is where the store is, without name or password.
func (s *Store) Address() string { return s.address }

// Ping asks whether the store answers.
func (s *Store) Ping(ctx context.Context) error { return s.explain("ping", s.conn.Ping(ctx)) }

// Version is the server's version, such as "26.7.2".
func (s *Store) Version() (string, error) {
	v, err := s.conn.ServerVersion()
	if err != nil {
		return "", s.explain("connect", err)
	}
	return fmt.Sprintf("%d.%d.%d", v.Version.Major, v.Version.Minor, v.Version.Patch), nil
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// quote makes an identifier of a name that [identifier] has accepted.
func quote(name string) string { return "`" + name + "`" }
