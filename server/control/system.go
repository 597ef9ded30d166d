package control

func acceptClock(k *call) error {
	if err := k.decode(&struct{}{}); err != nil {
		return err
	}
	if err := k.cfg.Pipeline.AcceptClock(k.context(), k.actor); err != nil {
		return err
	}
	return k.noContent()
}
