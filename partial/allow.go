package partial

func (p *parser) check(allow *Mask) *MaskError { return nil }
