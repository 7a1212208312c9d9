// How an object with accessors is made where speed counts: V8 keeps an object literal that has its own as a hash table, and each access is a
// look-up (13 times slower); on a prototype it compiles them into the caller. Called by whoever builds such an object on a hot path.

/** An object with these members on its prototype. */
export const onPrototype = <Members extends object>(members: Members): Members => Object.create(members) as Members;
