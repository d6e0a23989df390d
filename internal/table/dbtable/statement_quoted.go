package dbtable

// quoted reads a string or name from its opening quote to the closing one. Without a verb
// it is SQL as any other; with one its content is taken out of the SQL.
func (s *scanner) quoted(quote byte) error {
	isName := quote == '`' || quote == '"' && !s.d.DoubleIsText
	escapes := s.d.Backslash && quote != '`'
	prefixed := false // by N, X, U& or the like: the content is something else then
	ePrefix := false
	if before := s.at(-1); quote == '\'' && (wordByte(before) || before == '&') {
		ePrefix = s.d.EStrings && before|0x20 == 'e' && !wordByte(s.at(-2))
		escapes = escapes || ePrefix
		prefixed = !ePrefix
	}
	start, content, err := s.pos, []piece(nil), error(nil)
	var text []byte
	put := func(verb byte) {
		if len(text) > 0 {
			content = append(content, piece{text: string(text)})
			text = nil
		}
		if verb != 0 {
			content = append(content, piece{verb: verb})
		}
	}
	verbs := false
	for s.pos++; ; s.pos++ {
		if s.pos >= len(s.in) {
			return errQuoteOpen
		}
		c := s.in[s.pos]
		switch {
		case c.verb != 0:
			put(c.verb)
			verbs = true
			continue
		case c.char == '\\' && escapes:
			s.pos++
			if s.pos >= len(s.in) || s.in[s.pos].verb != 0 {
				return errVerbEscape
			}
			plain, ok := s.d.unescape(s.in[s.pos].char)
			if !ok {
				err = errVerbEscape
			}
			text = append(text, plain...)
			continue
		case c.char == quote && s.at(1) == quote:
			s.pos++
		case c.char == quote:
			s.pos++
			put(0)
			return s.endQuoted(start, content, verbs, isName, prefixed, ePrefix, quote, err)
		}
		text = append(text, c.char)
	}
}

// endQuoted adds what was read. The error is one that matters only beside a verb.
func (s *scanner) endQuoted(start int, content []piece, verbs, isName, prefixed, ePrefix bool, quote byte, err error) error {
	switch {
	case !verbs:
		for _, c := range s.in[start:s.pos] {
			s.sql = append(s.sql, c.char)
		}
		return nil
	case prefixed:
		return errVerbPrefixed
	case err != nil:
		return err
	case ePrefix:
		s.sql = s.sql[:len(s.sql)-1]
	}
	value := &Template{pieces: content}
	if !isName {
		s.add(part{value: value})
		return nil
	}
	s.sql = append(s.sql, quote)
	for i, p := range content {
		content[i].text = quoteName(quote)(p.text)
	}
	s.add(part{value: value, quote: quote})
	s.sql = append(s.sql, quote)
	return nil
}
