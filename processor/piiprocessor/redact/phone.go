package redact

const minNationalPhone = 5

func isPhoneSeparator(c byte) bool {
	return c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/'
}

// nationalPhone looks for a telephone number as people write it at home, which begins at t[start] and whose first digits
// end at t[end]: where the words around it, c those before it, say that it is one, or where it has the form of North
// America's. It returns where to go on, or 0.
func (s *Scanner) nationalPhone(t string, start, end int, c context) int {
	n, groups, stop := phoneShape(t, start)
	if n < minNationalPhone || n > 15 || stop < end {
		return 0
	}
	grouped := groups > 1
	if !northAmerican(t[start:stop]) {
		if dateShape(t[start:stop]) {
			return 0
		}
		if c&(saysPhone|saysCall) == 0 {
			c |= after(t, stop)
		}
		if c&(saysCard|saysID) != 0 || c&saysPhone == 0 && (c&saysCall == 0 || !grouped || n < 7) {
			return 0
		}
	}
	s.add(start, stop, Phone)
	return stop
}

// phoneShape reads digits in groups from t[i] on and returns how many there are and where they end.
func phoneShape(t string, i int) (digits, groups, end int) {
	end = i
	last := byte(' ')
	for j := i; j < len(t); j++ {
		c := t[j]
		if isDigit(c) {
			if !isDigit(last) {
				groups++
			}
			if digits++; digits > 15 {
				return digits, groups, end
			}
			last, end = c, j+1
			continue
		}
		if !isPhoneSeparator(c) || j-end >= 2 {
			break
		}
		if c == ')' && end == j {
			// A bracket closes what it opened.
			last = c
			continue
		}
		last = c
	}
	if end < len(t) && (isAlpha(t[end]) && !extension(t, end) || t[end] == '_' ||
		t[end] == ':' && end+1 < len(t) && isDigit(t[end+1])) {
		return 0, 0, i
	}
	return digits, groups, end
}

// extension reports whether an extension follows a number that ends at t[i]: x123.
func extension(t string, i int) bool {
	return i+1 < len(t) && lower(t[i]) == 'x' && isDigit(t[i+1])
}

// northAmerican reports whether v is written (415) 555-0132 or 415-555-0132, in ranges that exist.
func northAmerican(v string) bool {
	var d [10]byte
	n := 0
	for i := range len(v) {
		if !isDigit(v[i]) {
			continue
		}
		if n == len(d) {
			return false
		}
		d[n] = v[i]
		n++
	}
	if n != 10 || d[0] < '2' || d[3] < '2' || d[1] == '1' && d[2] == '1' {
		return false
	}
	switch len(v) {
	case 12:
		return v[3] == '-' && v[7] == '-'
	case 13:
		return v[0] == '(' && v[4] == ')' && v[8] == '-'
	case 14:
		return v[0] == '(' && v[4] == ')' && v[5] == ' ' && v[9] == '-'
	}
	return false
}

// dateShape reports whether v starts as 2026-11-03 or 2026/11/03 does, or ends as 03.11.2026.
func dateShape(v string) bool {
	if len(v) < 10 {
		return false
	}
	mark := v[4]
	if mark == v[7] && (mark == '-' || mark == '/' || mark == '.') && (v[0] == '1' || v[0] == '2') {
		return true
	}
	mark = v[2]
	return len(v) == 10 && mark == v[5] && (mark == '.' || mark == '/' || mark == '-') && v[6] >= '1' && v[6] <= '2'
}
