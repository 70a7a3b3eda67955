package credential

// trimBlanks trims optional whitespace (RFC 9110 §5.6.3). strings.Trim would make a set of the two characters each time, and
// a request with a cookie trims often.
func trimBlanks(s string) string {
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
