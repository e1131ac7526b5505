package hardening

// nearest returns the name with the smallest edit distance to s, the first of
// equals, or "" if none is near enough to be meant.
func nearest(s string, names []string) string {
	best, limit := "", len(s)/3+1
	for _, n := range names {
		if d := distance(s, n, limit); d < limit {
			best, limit = n, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes, or limit if it is not less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
