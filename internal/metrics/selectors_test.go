package metrics

import "github.com/prometheus/prometheus/promql/parser"

// selectors returns the text of every selector in expr.
func selectors(expr parser.Expr) []string {
	var list []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			text := ""
			for _, m := range v.LabelMatchers {
				text += m.String() + ","
			}
			list = append(list, text)
		}
		return nil
	})
	return list
}
