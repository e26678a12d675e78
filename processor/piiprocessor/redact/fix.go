package redact

import "strings"

// fixTags says what the values of fields of FIX are that name people, their accounts or how they log in. Numbers and
// names are those of the field dictionary of FIX 5.0 SP2 with FIXT 1.1 and, where they left it, of FIX 4.2 (FIX Trading
// Community, fixtrading.org, "FIX Latest online specification", Fields).
var fixTags = map[string]Rule{
	"1": Person, "79": Person, "440": Person, "467": Person, // Account, AllocAccount, ClearingAccount, IndividualAllocID
	"50": Person, "57": Person, "116": Person, "129": Person, // SenderSubID, TargetSubID, OnBehalfOfSubID, DeliverToSubID
	"109": Person, "448": Person, "523": Person, // ClientID, PartyID, PartySubID
	"524": Person, "545": Person, "757": Person, "806": Person, // NestedPartyID and its SubID, Nested2PartyID and its SubID
	"949": Person, "953": Person, "1117": Person, "1121": Person, // Nested3PartyID and its SubID, RootPartyID and its SubID
	"1462": Person, "782": Person, "785": Person, // TargetPartyID, SettlPartyID, SettlPartySubID
	"178": Person, "179": Person, "180": Person, "181": Phone, // SecuritySettlAgentAcctNum, …AcctName, …ContactName, …Phone
	"184": Person, "185": Person, "186": Person, "187": Phone, // CashSettlAgentAcctNum, …AcctName, …ContactName, …Phone
	"553": Person, "554": Secret, "925": Secret, // Username, Password, NewPassword
	"1402": Secret, "1404": Secret, // EncryptedPassword, EncryptedNewPassword
	"89": Secret, "91": Secret, "96": Secret, // Signature, SecureData, RawData, in which logons had their password
}

// fixLengths are fields that say how long the next one is, in which separators may stand.
var fixLengths = map[string]string{"90": "91", "93": "89", "95": "96", "1401": "1402", "1403": "1404"}

// fix reads messages of FIX, tag=value with SOH between them, or with "|" or "^A" as logs show it. A time and a session
// may stand before the first one.
func (s *Scanner) fix(v string) bool {
	const begin = "8=FIX"
	head := strings.Index(v[:min(len(v), 256)], begin)
	if head < 0 || head > 0 && isDigit(v[head-1]) {
		return false
	}
	separator := ""
	for _, c := range [...]string{"\x01", "|", "^A"} {
		if n := strings.Index(v[head:min(len(v), head+32)], c); n > len(begin) {
			separator = c
			break
		}
	}
	if separator == "" {
		return false
	}
	s.searchPart(v, 0, head)
	length, lengthTag := 0, ""
	n := 0
	for at := head; at < len(v); n++ {
		end := len(v)
		if i := strings.Index(v[at:], separator); i >= 0 && n < maxParts {
			end = at + i
		}
		tag, value, ok := strings.Cut(v[at:end], "=")
		tag = strings.TrimSpace(tag)
		if !ok || tag == "" || len(tag) > 5 || !digits(tag) {
			s.searchPart(v, at, end)
			at = end + len(separator)
			continue
		}
		start := end - len(value)
		if fixLengths[lengthTag] == tag {
			if stop := start + length; stop > end && stop <= len(v) && strings.HasPrefix(v[stop:], separator) {
				end = stop
			}
		}
		s.searchPart(v, at, end)
		s.meant(v, start, end, meansPerson, fixTags[tag])
		length, lengthTag = 0, tag
		if len(value) <= 5 && digits(value) {
			length = number(value)
		}
		at = end + len(separator)
	}
	return true
}

// betweenPipes takes a value in a record of "|" to the next one: user|password=two words|room=a. Its key starts at
// t[start], and its "=" stands at t[i].
func (s *Scanner) betweenPipes(t string, start, i int, m meaning, r Rule) {
	for start > 0 && t[start-1] == ' ' {
		start--
	}
	first := start == 0 || t[start-1] == '\n'
	if !first && t[start-1] != '|' {
		return
	}
	end := i + 1
	for end < len(t) && t[end] != '|' && t[end] != '\n' && t[end] != '"' && end-i < maxValueScan {
		end++
	}
	if end < s.keyedEnd || first && (end == len(t) || t[end] != '|' || !fieldFollows(t, end+1)) {
		return
	}
	s.meant(t, i+1, end, m, r)
	s.keyedEnd = max(s.keyedEnd, end)
}

// fieldFollows reports whether a key and "=" stand at t[i].
func fieldFollows(t string, i int) bool {
	for i < len(t) && t[i] == ' ' {
		i++
	}
	start := i
	for i < len(t) && i-start < maxKeyBytes && class[t[i]]&cKeyChar != 0 {
		i++
	}
	return i > start && i < len(t) && t[i] == '='
}
