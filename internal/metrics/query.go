package metrics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

const tenantLabel = "tenant"

// language is PromQL without its experimental functions, some of which select
// series that the expression does not show.
var language = parser.NewParser(parser.Options{})

// Query implements Store.
func (s *embedded) Query(ctx context.Context, tenant, text string, at time.Time) ([]Series, error) {
	bound, err := Bind(tenant, text)
	if err != nil {
		return nil, err
	}
	q, err := s.engine.NewInstantQuery(ctx, ofTenant{s.db, tenant}, nil, bound, at)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return answer(ctx, q)
}

// QueryRange implements Store.
func (s *embedded) QueryRange(ctx context.Context, tenant, text string, from, to time.Time, step time.Duration) ([]Series, error) {
	bound, err := Bind(tenant, text)
	if err != nil {
		return nil, err
	}
	if err := checkRange(from, to, step); err != nil {
		return nil, err
	}
	q, err := s.engine.NewRangeQuery(ctx, ofTenant{s.db, tenant}, nil, bound, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return answer(ctx, q)
}

func checkRange(from, to time.Time, step time.Duration) error {
	switch {
	case step <= 0 || to.Before(from):
		return fmt.Errorf("%w: the step must be positive and the end not before the beginning", ErrQuery)
	case to.Sub(from)/step > MaxPoints:
		return fmt.Errorf("%w: more than %d points per series: take a longer step or a shorter time", ErrQuery, MaxPoints)
	}
	return nil
}

// Bind returns the expression with every selector limited to the tenant. An
// expression that names the tenant label in a selector is refused.
func Bind(tenant, text string) (string, error) {
	if len(text) > MaxQueryBytes {
		return "", fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrQuery, len(text), MaxQueryBytes)
	}
	if tenant == "" {
		return "", fmt.Errorf("%w: no tenant", ErrQuery)
	}
	expr, err := language.ParseExpr(text)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrQuery, err)
	}
	own, err := labels.NewMatcher(labels.MatchEqual, tenantLabel, tenant)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrQuery, err)
	}
	var refused error
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		sel, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, m := range sel.LabelMatchers {
			if m.Name == tenantLabel {
				refused = fmt.Errorf("%w: %s names the label tenant, which is set for you: leave it out", ErrQuery, sel)
			}
		}
		sel.LabelMatchers = append(sel.LabelMatchers, own)
		return nil
	})
	if refused != nil {
		return "", refused
	}
	return expr.String(), nil
}

func answer(ctx context.Context, q promql.Query) ([]Series, error) {
	defer q.Close()
	r := q.Exec(ctx)
	if r.Err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, ok := errors.AsType[promql.ErrStorage](r.Err); ok {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, r.Err)
		}
		return nil, fmt.Errorf("%w: %w", ErrQuery, r.Err)
	}
	switch v := r.Value.(type) {
	case promql.Scalar:
		return []Series{{Labels: map[string]string{}, Points: []Point{point(v.T, v.V)}}}, nil
	case promql.Vector:
		list := make([]Series, 0, len(v))
		for _, sample := range v {
			if sample.H == nil {
				list = append(list, Series{Labels: shown(sample.Metric), Points: []Point{point(sample.T, sample.F)}})
			}
		}
		return list, nil
	case promql.Matrix:
		list := make([]Series, 0, len(v))
		for _, line := range v {
			s := Series{Labels: shown(line.Metric), Points: make([]Point, len(line.Floats))}
			for i, p := range line.Floats {
				s.Points[i] = point(p.T, p.F)
			}
			list = append(list, s)
		}
		return list, nil
	}
	return nil, fmt.Errorf("%w: the answer is a %s, not numbers", ErrQuery, r.Value.Type())
}

func point(ms int64, v float64) Point { return Point{Time: time.UnixMilli(ms).UTC(), Value: v} }

func shown(l labels.Labels) map[string]string {
	m := l.Map()
	delete(m, tenantLabel)
	return m
}

// ofTenant shows the engine the series of one tenant only.
type ofTenant struct {
	storage.Queryable
	tenant string
}

// Querier implements storage.Queryable.
func (t ofTenant) Querier(from, to int64) (storage.Querier, error) {
	q, err := t.Queryable.Querier(from, to)
	if err != nil {
		return nil, err
	}
	return tenantQuerier{q, labels.MustNewMatcher(labels.MatchEqual, tenantLabel, t.tenant)}, nil
}

type tenantQuerier struct {
	storage.Querier
	own *labels.Matcher
}

func (q tenantQuerier) with(m []*labels.Matcher) []*labels.Matcher {
	return append(append(make([]*labels.Matcher, 0, len(m)+1), m...), q.own)
}

// Select implements storage.Querier.
func (q tenantQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, m ...*labels.Matcher) storage.SeriesSet {
	return q.Querier.Select(ctx, sorted, hints, q.with(m)...)
}

// LabelValues implements storage.LabelQuerier.
func (q tenantQuerier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, m ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.Querier.LabelValues(ctx, name, hints, q.with(m)...)
}

// LabelNames implements storage.LabelQuerier.
func (q tenantQuerier) LabelNames(ctx context.Context, hints *storage.LabelHints, m ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.Querier.LabelNames(ctx, hints, q.with(m)...)
}
