package table

func openRegexp(argument string, o Options) (Table, error) {
	parse := func(r *ruleReader, line string) (rule, bool, error) {
		return parsePatternRule(r, line, compileRegexp)
	}
	return openPatterns("regexp", argument, o, parse, textSubject)
}

// compileRegexp makes a matcher of a pattern and the flags of regexp_table(5), each of
// which turns its default around.
func compileRegexp(r *ruleReader, pattern, flags string) (*matcher, bool, error) {
	f := posixFlags{foldCase: true, extended: true}
	for i := range len(flags) {
		switch flags[i] {
		case 'i':
			f.foldCase = !f.foldCase
		case 'm':
			f.newline = !f.newline
		case 'x':
			f.extended = !f.extended
		default:
			r.warn(`unknown regexp option "%c": skipping this rule`, flags[i])
			return nil, false, nil
		}
	}
	t, groups, err := parsePosix(pattern, f)
	if err != nil {
		return nil, false, err
	}
	m, err := compileLongest(t, groups)
	return m, err == nil, err
}

func openPCRE(argument string, o Options) (Table, error) {
	parse := func(r *ruleReader, line string) (rule, bool, error) {
		return parsePatternRule(r, line, compilePCRE)
	}
	return openPatterns("pcre", argument, o, parse, textSubject)
}

// compilePCRE makes a matcher of a pattern and the flags of pcre_table(5), each of which
// turns its default around.
func compilePCRE(r *ruleReader, pattern, flags string) (*matcher, bool, error) {
	f := perlFlags{foldCase: true, dotAll: true}
	for i := range len(flags) {
		switch flags[i] {
		case 'i':
			f.foldCase = !f.foldCase
		case 'm':
			f.multiline = !f.multiline
		case 's':
			f.dotAll = !f.dotAll
		case 'x':
			f.spaces = !f.spaces
		case 'A':
			f.anchored = !f.anchored
		case 'E':
			f.endOnly = !f.endOnly
		case 'U':
			f.ungreedy = !f.ungreedy
		case 'X':
			r.warn(`ignoring obsolete regexp option "X"`)
		default:
			r.warn(`unknown regexp option "%c": skipping this rule`, flags[i])
			return nil, false, nil
		}
	}
	t, groups, err := parsePerl(pattern, f)
	if err != nil {
		return nil, false, err
	}
	m, err := compileFirst(t, groups)
	return m, err == nil, err
}
