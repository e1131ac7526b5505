package httpapi

func (a *API) addIdentityProviders() {}
