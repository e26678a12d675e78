package endpoint

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Bounds of what operators write.
const (
	maxAdminBody = 16 << 10
	maxAdminName = 512
	maxAdminFor  = 366 * 24 * time.Hour
)

// adminError is an answer that is not 200.
type adminError struct {
	status int
	text   string
}

func (e *adminError) Error() string { return e.text }

func badRequest(text string, args ...any) error {
	return &adminError{http.StatusBadRequest, fmt.Sprintf(text, args...)}
}

// decodeBody reads a body. What is wrong with it is not quoted.
func decodeBody[T any](body io.Reader, fields string) (v T, err error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return v, &adminError{http.StatusRequestEntityTooLarge, "the body must have at most 16 KiB"}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if dec.Decode(&v) == nil {
		if _, err := dec.Token(); err == io.EOF {
			return v, nil
		}
	}
	return v, badRequest("the body must be one JSON object, of %s", fields)
}

// checkNames checks what names somebody.
func checkNames(all ...string) error {
	for _, s := range all {
		if len(s) > maxAdminName || !utf8.ValidString(s) {
			return badRequest("a name must have at most %d bytes", maxAdminName)
		}
	}
	return nil
}

// checkUserHash keeps names of users from being taken for hashes.
func checkUserHash(s string) error {
	kind, rest, _ := strings.Cut(s, ":")
	key, hash, _ := strings.Cut(rest, ":")
	if b, err := lowerBase32.DecodeString(hash); s != "" && (kind != "p1" || len(key) != 8 || err != nil || len(b) != 16) {
		return badRequest("user_hash: must be the user.hash of an event, such as p1:k3y1d234:nbswy3dp…")
	}
	return nil
}

// parseNetwork reads a network. A single address of IPv6 stands for its /64, as in limits: who has one has all.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		bits := 64
		if a.Is4() {
			bits = 32
		}
		return a.Prefix(bits)
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, badRequest("address: must be one such as 203.0.113.7, or a network such as 203.0.113.0/24")
	}
	return p.Masked(), nil
}

func parseFor(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second || d > maxAdminFor {
		return 0, badRequest("for: must be from 1s to %s, such as 1h30m", maxAdminFor)
	}
	return d, nil
}

// filterRequest is a [Filter] as it is written.
type filterRequest struct {
	UserHash    string `json:"user_hash"`
	Tenant      string `json:"tenant"`
	Address     string `json:"address"`
	Path        string `json:"path"`
	Subprotocol string `json:"subprotocol"`
}

const filterFields = "user_hash, tenant, address, path, subprotocol"

func (q filterRequest) filter() (f Filter, err error) {
	f = Filter{UserHash: q.UserHash, Tenant: q.Tenant, Path: q.Path, Subprotocol: q.Subprotocol}
	if q.Address != "" {
		if f.Address, err = parseNetwork(q.Address); err != nil {
			return f, err
		}
	}
	return f, errors.Join(checkUserHash(q.UserHash), checkNames(q.Tenant, q.Path, q.Subprotocol))
}

type listRequest struct {
	filter Filter
	after  string
	limit  int
}

func parseList(query string) (q listRequest, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return q, badRequest("the query is not well formed")
	}
	q.limit = 100
	var f filterRequest
	fields := map[string]*string{
		"user_hash": &f.UserHash, "tenant": &f.Tenant, "address": &f.Address, "path": &f.Path, "subprotocol": &f.Subprotocol,
		"after": &q.after,
	}
	for name, all := range values {
		if len(all) != 1 {
			return q, badRequest("a parameter may be there once")
		}
		if to := fields[name]; to != nil {
			*to = all[0]
		} else if name != "limit" {
			return q, badRequest("the parameters are %s, limit, after", filterFields)
		} else if q.limit, err = strconv.Atoi(all[0]); err != nil || q.limit < 1 || q.limit > maxPage {
			return q, badRequest("limit: must be from 1 to %d", maxPage)
		}
	}
	if id, err := hex.DecodeString(q.after); err != nil || len(id) != 0 && len(id) != 16 {
		return q, badRequest("after: must be the next of another answer")
	}
	q.filter, err = f.filter()
	return q, err
}

type closeRequest struct {
	ID     string        `json:"id"`
	Filter filterRequest `json:"filter"`
	All    bool          `json:"all"`
	Code   int           `json:"code"`
	Reason string        `json:"reason"`
}

const closeFields = "id, filter, all, code, reason; filter is an object of " + filterFields

// parse checks that one of the three ways to select is used, so that a slip does not close all.
func (q *closeRequest) parse() (f Filter, err error) {
	if f, err = q.Filter.filter(); err != nil {
		return f, err
	}
	ways := 0
	for _, used := range []bool{q.ID != "", f != Filter{}, q.All} {
		if used {
			ways++
		}
	}
	if q.Code == 0 {
		q.Code = event.ClosePolicyViolation
	}
	switch {
	case ways != 1:
		return f, badRequest("say which connections to close: by id, by filter, or all")
	case q.Code < 0 || q.Code > 4999 || !wire.CloseCode(q.Code).Sendable():
		return f, badRequest("code: must be one that a Close frame may carry")
	case len(q.Reason) > 123 || !utf8.ValidString(q.Reason):
		return f, badRequest("reason: must have at most 123 bytes")
	}
	return f, nil
}

type revokeRequest struct {
	TokenID string    `json:"token_id"`
	Subject string    `json:"subject"`
	Tenant  string    `json:"tenant"`
	Session string    `json:"session"`
	Before  time.Time `json:"before"`
	For     string    `json:"for"`
}

const revokeFields = "token_id, subject, tenant, session, before in RFC 3339, and for such as 1h30m"

func (q *revokeRequest) parse(now time.Time) (auth.Revocation, error) {
	out := auth.Revocation{TokenID: q.TokenID, Subject: q.Subject, Tenant: q.Tenant, Session: q.Session, Before: q.Before}
	d, err := parseFor(q.For)
	if err != nil {
		return out, err
	}
	if out == (auth.Revocation{Before: q.Before}) {
		return out, badRequest("name a token_id, subject, tenant or session")
	}
	if d > 0 {
		out.Until = now.Add(d)
	}
	return out, checkNames(q.TokenID, q.Subject, q.Tenant, q.Session)
}

type blockRequest struct {
	Address  string      `json:"address"`
	UserHash string      `json:"user_hash"`
	Subject  string      `json:"subject"`
	Tenant   string      `json:"tenant"`
	Reason   BlockReason `json:"reason"`
	For      string      `json:"for"`
}

const blockFields = "address, user_hash, subject, tenant, reason, and for such as 1h30m"

// The widest networks that can be blocked: wider ones are slips.
const (
	widestIPv4 = 8
	widestIPv6 = 16
)

// parse reads the request; userHash is that of a subject.
func (q *blockRequest) parse(now time.Time, userHash func(string) string) (b BlockRule, err error) {
	b = BlockRule{UserHash: q.UserHash, Tenant: q.Tenant, Reason: q.Reason}
	if q.Subject != "" {
		if b.UserHash != "" {
			return b, badRequest("user_hash, subject: only one of them")
		}
		b.UserHash = userHash(q.Subject)
	}
	if q.Address != "" {
		if b.Address, err = parseNetwork(q.Address); err != nil {
			return b, err
		}
	}
	if b, err = b.normal(); err != nil {
		return b, badRequest("give an address, or a user_hash or subject, a tenant, or both; and a reason of %v",
			BlockReasons())
	}
	if b.Address.IsValid() {
		widest := widestIPv6
		if b.Address.Addr().Is4() {
			widest = widestIPv4
		}
		if b.Address.Bits() < widest {
			return b, badRequest("address: a network must have at least /%d", widest)
		}
	}
	if d, err := parseFor(q.For); err != nil {
		return b, err
	} else if d > 0 {
		b.Until = now.Add(d).UTC()
	}
	return b, errors.Join(checkUserHash(q.UserHash), checkNames(q.Subject, q.Tenant))
}
